use crate::support::alone;

#[test]
fn fixtures() {
    // What is drawn beside a recorded draw is an error, whoever draws it.
    alone(|| {
        // Scripts run on a large stack, and the default device belongs to a thread.
        let failed = lathe::script::on_big_stack(super::all).expect("the runner's thread ends");
        assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    });
}
