//! Modules in modules in modules: what a script nests as deep as it likes goes without recursion.

use std::any::Any;
use std::cell::RefCell;

thread_local! {
    /// What waits to go while something goes that held it.
    static GOING: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Lets `parts` go. What goes along with them on the way, and comes here itself, goes after them and not inside: a stack holds some hundred thousand
/// of these at most.
pub(super) fn let_go(parts: impl Any) {
    let mut parts: Option<Box<dyn Any>> = Some(Box::new(parts));
    // Where the thread itself ends there is no queue any more.
    let is_first = GOING.try_with(|going| match &mut *going.borrow_mut() {
        Some(queue) => {
            queue.extend(parts.take());
            false
        }
        empty => {
            *empty = Some(Vec::new());
            true
        }
    });
    drop(parts);
    if is_first != Ok(true) {
        return;
    }
    while let Some(next) = GOING.with_borrow_mut(|going| going.as_mut().and_then(Vec::pop)) {
        drop(next);
    }
    GOING.set(None);
}

#[cfg(test)]
mod tests {
    use crate::nn::Module;
    use crate::nn::bounds::DEEPEST;
    use std::rc::Rc;

    #[test]
    fn parts_nest_as_deep_as_a_network_does_and_no_deeper() {
        // From the outside in, where no child knows yet how deep it lies ...
        let outer = Module::group();
        let mut at = outer.clone();
        let mut depth = 0;
        let refused = loop {
            let inner = Module::group();
            match at.set_child("inner", inner.clone()) {
                Ok(()) => (at, depth) = (inner, depth + 1),
                Err(e) => break e,
            }
        };
        assert_eq!(depth, DEEPEST);
        assert!(refused.to_string().contains("nested more than 1024 deep"), "{refused}");
        assert_eq!(outer.deep_copy().unwrap().entries().len(), 0);
        // ... from the inside out, and by a whole tree at once.
        let mut at = Module::group();
        for _ in 0..DEEPEST {
            let next = Module::group();
            next.set_child("inner", at).unwrap();
            at = next;
        }
        assert!(Module::group().set_child("inner", at.clone()).is_err());
        assert!(Module::group().set_child("inner", outer).is_err());
        // A part that stands in two places lies at the deeper one; what is put together anew at each step does not sink.
        let net = Module::group();
        for _ in 0..3000 {
            Module::group().set_child("net", net.clone()).unwrap();
        }
    }

    #[test]
    fn what_holds_what_holds_what_goes_without_a_deep_stack() {
        let gone = Rc::new(());
        let mut at = Module::group();
        at.set_attribute("last", gone.clone()).unwrap();
        for _ in 0..200_000 {
            let next = Module::group();
            next.set_attribute("inner", Rc::new(at)).unwrap();
            at = next;
        }
        drop(at);
        assert_eq!(Rc::strong_count(&gone), 1);
    }

    #[test]
    fn shared_parts_are_looked_through_once() {
        let mut at = Module::group();
        for _ in 0..200 {
            let next = Module::group();
            next.set_child("a", at.clone()).unwrap();
            next.set_child("b", at).unwrap();
            at = next;
        }
    }
}
