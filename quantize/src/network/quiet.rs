//! Panics of a library as errors, without its report on stderr.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs what hostile input may bring to panic; then the panic's message, in one line. What it was working on has to be dropped.
///
/// The last resort behind the checks of [`check`](super::check): in a program built with `panic = "abort"` it does nothing.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    outcome.map_err(|panic| {
        let message = message(&*panic).split_whitespace().collect::<Vec<_>>().join(" ");
        format!("tract cannot read this graph ({message}): check it with onnx.checker")
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_line() {
        assert_eq!(catch(|| 5), Ok(5));
        let zero = std::hint::black_box(0);
        let line = catch(|| 1 / zero).unwrap_err();
        assert!(line.contains("divide by zero") && !line.contains('\n'), "{line}");
        assert!(!QUIET.get());
    }
}
