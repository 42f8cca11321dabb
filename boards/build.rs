//! Rebuilds the crate when a profile comes or goes: `include_dir` does not tell cargo.

fn main() {
    for folder in ["profiles", "hats", "costs"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
