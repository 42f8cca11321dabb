//! Log-mel of real recordings against openai-whisper, computed by `openai_mel.py` now. Needs the shared recordings and, in
//! `OSSICLE_PYTHON`, a Python that has openai-whisper; says so and passes without them.

use std::path::{Path, PathBuf};
use std::process::Command;

use ossicle_frontend::mel::*;
use ossicle_kernels::simd::Isa;

fn floats(path: &Path) -> Vec<f32> {
    std::fs::read(path).unwrap().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn recordings(folder: &Path, count: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "flac" || e == "opus")).collect();
    files.sort();
    let stride = (files.len() / count.max(1)).max(1);
    files.into_iter().step_by(stride).take(count).collect()
}

#[test]
fn recordings_within_1e_4_of_openai_whisper() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("../../../shared/data");
    let files = [
        ("read_en", 20),
        ("misc_en", 10),
        ("multi", 6),
        ("coffee", 10),
        ("spontaneous_en", 1),
        ("long_en", 1),
        ("noise", 13),
        ("digits_aligned", 3),
    ]
    .into_iter()
    .flat_map(|(set, count)| recordings(&data.join(set).join("audio"), count))
    .collect::<Vec<_>>();
    let python = std::env::var_os("OSSICLE_PYTHON");
    let (Some(python), false) = (python, files.is_empty()) else {
        eprintln!("SKIPPED: recordings_within_1e_4_of_openai_whisper needs ../shared/data and OSSICLE_PYTHON");
        return;
    };
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openai_mel");
    std::fs::create_dir_all(&out).unwrap();
    let status = Command::new(python).arg(root.join("tests/openai_mel.py")).arg("recordings").arg(&out).args(&files).status();
    assert!(status.unwrap().success(), "openai_mel.py failed");

    let mel = LogMel::new(Isa::detect(), 80).unwrap();
    let mut scratch = Box::new(MelScratch::new());
    let mut worst = 0.0f32;
    for (n, file) in files.iter().enumerate() {
        let (pcm, wanted) = (floats(&out.join(format!("{n}.pcm"))), floats(&out.join(format!("{n}.mel"))));
        // Two frames more: openai-whisper's maximum is taken over the silence behind the recording too.
        let mut got = vec![0.0; wanted.len() + 2 * mel.bins()];
        mel.window(&pcm, 0, &mut got, &mut scratch).unwrap();
        let error = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{error:.2e}  {}", file.file_name().unwrap_or_default().display());
        worst = worst.max(error);
    }
    println!("{} recordings, worst {worst:.2e}", files.len());
    assert!(worst < 1e-4, "{worst}");
}
