//! Structs whose fields are options, and types that stand for a few texts: [`options!`](crate::options), [`choices!`](crate::choices).

/// Makes the fields of a struct options of script functions; what a call leaves out is as in the struct's `Default`.
///
/// ```ignore
/// options! {
///     AdamWOptions {
///         /// learning rate
///         lr,
///         /// added to the denominator
///         eps: [0.0..],
///         /// another name in scripts
///         weight_decay as "decay",
///     }
/// }
/// ```
/// A field's type must be an argument ([`FromArg`](crate::script::lang::value::FromArg)) or a struct of options itself.
#[macro_export]
macro_rules! options {
    ($($ty:ident { $($(#[doc = $doc:literal])* $field:ident $(as $script:literal)? $(: [ $($limit:tt)+ ])?),* $(,)? })+) => {$(
        impl $crate::script::lang::options::OptionSet for $ty {}
        impl $crate::script::lang::options::FromOptions for $ty {
            fn describe(_: &$crate::script::lang::given::Declared, default: Option<Self>, all: &mut Vec<$crate::script::lang::given::OptionSpec>) {
                let set = default.unwrap_or_default();
                $($crate::script::lang::options::FromOptions::describe(
                    &$crate::api!(@declared $crate::api!(@name $field $($script)?), [$($doc)*] $(, $($limit)+)?), Some(set.$field), all,
                );)*
            }
            fn read(
                given: &mut $crate::script::lang::given::Given,
                _: &$crate::script::lang::given::Declared,
                default: Option<Self>,
            ) -> $crate::error::Result<Self> {
                let mut set = default.unwrap_or_default();
                $(set.$field = $crate::script::lang::options::FromOptions::read(
                    given, &$crate::api!(@declared $crate::api!(@name $field $($script)?), [] $(, $($limit)+)?), Some(set.$field),
                )?;)*
                Ok(set)
            }
        }
    )+};
}

/// Takes entries of a map that came another way than as the options of a call, as variables: as [`api!`](crate::api) does it behind `;`.
#[macro_export]
macro_rules! entries {
    ($given:ident; $($name:ident : $ty:ty $(= $default:expr)?),+ $(,)?) => {
        $(let $name = <$ty as $crate::script::lang::options::FromOptions>::read(
            &mut $given, &$crate::api!(@declared stringify!($name), []), $crate::api!(@default $($default)?),
        )?;)+
    };
    (all $function:expr, $map:expr; $($name:ident : $ty:ty $(= $default:expr)?),+ $(,)?) => {
        let mut given = $crate::script::lang::given::Given::new($function, $map);
        $crate::entries!(given; $($name : $ty $(= $default)?),+);
        given.done(|| {
            let mut all = Vec::new();
            $(<$ty as $crate::script::lang::options::FromOptions>::describe(
                &$crate::api!(@declared stringify!($name), []), $crate::api!(@default $($default)?), &mut all,
            );)+
            all
        })?;
    };
}

/// Lets a type be taken as one of a few texts.
///
/// ```ignore
/// choices! { Reduction { Mean = "mean", Sum = "sum", None = "none" } }
/// ```
#[macro_export]
macro_rules! choices {
    ($($ty:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        impl $crate::script::lang::value::FromArg for $ty {
            const NAME: &'static str = "a string";
            const CHOICES: &'static [&'static str] = &[$($text),+];
            fn from_dynamic(d: &$crate::script::rhai::Dynamic) -> Option<Self> {
                match d.read_lock::<$crate::script::rhai::ImmutableString>()?.as_str() {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn text(&self) -> Option<String> {
                match self {
                    $(Self::$variant => Some(concat!('"', $text, '"').to_owned()),)+
                    #[allow(unreachable_patterns)] // The type may have values without a text.
                    _ => None,
                }
            }
        }
    )+};
}
