//! `ossicle embed`.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::embed::{ImageEncoder, Options, TextEncoder};
use ossicle_models::network::MAX_BUFFER_BYTES;
use serde_json::{Value, json};

use crate::fault::{self, Fault};
use crate::input;
use crate::model::MachineArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle embed --model clip *.jpg > vectors.jsonl
  ossicle embed --model clip --format npy -o vectors.npy photos/*.jpg
  ossicle embed --model minilm --text \"a dog barks\" --text \"a barking dog\"
  ossicle embed --model clip --texts captions.txt --type int8 --format raw > captions.bin

Vectors have length 1: the sum of the products of two is their cosine. Those of a CLIP's images and texts lie in one space.
As int8 each vector has a scale of its own, which jsonl names; npy and raw leave it out, as no cosine depends on it.";

/// What to encode.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Images (png, jpeg, webp, gif, binary ppm); - is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["text", "texts"])]
    files: Vec<PathBuf>,
    /// A text, in place of images; may be given several times
    #[arg(long, value_name = "TEXT", conflicts_with = "files")]
    text: Vec<String>,
    /// Texts, one a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "text"])]
    texts: Option<PathBuf>,
    /// A CLIP for images and texts, a sentence encoder for texts: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER")]
    model: String,
    #[command(flatten)]
    machine: MachineArgs,
    /// What to write
    #[arg(long, value_enum, default_value = "jsonl")]
    format: FormatName,
    /// What the values are
    #[arg(long = "type", value_enum, default_value = "f32")]
    element: ElementName,
    /// Write to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// An object a line: the input and its vector
    Jsonl,
    /// NumPy's file: one array, a row for each input
    Npy,
    /// Little-endian values, nothing else
    Raw,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ElementName {
    F32,
    Int8,
}

/// Encodes all inputs; a bad file gives its line and the others go on, but only lines can leave one out.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = ossicle::models::find(&args.model).map_err(fault::model)?;
    let options = Options { isa: args.machine.isa(), threads: args.machine.threads(), most: MAX_BUFFER_BYTES };
    let texts = texts(args)?;
    let status = match texts.is_empty() {
        true => images(args, &folder, options)?,
        false => {
            let mut encoder = TextEncoder::open(&folder, options).map_err(|error| fault::embed(&folder, error))?;
            let mut writer = Vectors::new(args, encoder.width(), texts.len())?;
            for text in &texts {
                let encoded = encoder.encode(text).map_err(|error| fault::embed(&folder, error))?;
                let left_out = encoded.left_out;
                writer.put("text", text, encoded.vector, left_out)?;
                if left_out > 0 {
                    let most = encoder.most_tokens();
                    let start: String = text.chars().take(40).collect();
                    fault::complain(&format!("{start:?}...: the last {left_out} tokens are left out: the model reads {most}"));
                }
            }
            writer.finish()?;
            ExitCode::SUCCESS
        }
    };
    Ok(status)
}

fn images(args: &Args, folder: &Path, options: Options) -> Result<ExitCode> {
    input::check(&args.files)?;
    let mut encoder = ImageEncoder::open(folder, options).map_err(|error| fault::embed(folder, error))?;
    let mut writer = Vectors::new(args, encoder.width(), args.files.len())?;
    let mut failed = 0;
    for file in &args.files {
        let vector = input::image(file, usize::MAX).and_then(|image| encoder.encode(&image).map_err(|error| fault::embed(file, error)));
        match vector {
            Ok(vector) => writer.put("file", &input::name(file), vector, 0)?,
            // An array has a row for each file.
            Err(error) if args.format != FormatName::Jsonl || args.files.len() == 1 => return Err(error),
            Err(error) => {
                fault::report(&error);
                failed += 1;
            }
        }
    }
    writer.finish()?;
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        all if all == args.files.len() => ExitCode::from(fault::BAD_INPUT),
        _ => ExitCode::FAILURE,
    })
}

fn open(args: &Args) -> Result<Box<dyn Write>> {
    let Some(path) = &args.output else { return Ok(Box::new(BufWriter::new(io::stdout().lock()))) };
    let file = fs::File::create(path).map_err(|e| Fault::new(format!("cannot write: {e}"), path.display(), "give a writable file"))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn texts(args: &Args) -> Result<Vec<String>> {
    let Some(path) = &args.texts else { return Ok(args.text.clone()) };
    let text = fs::read_to_string(path).map_err(|e| Fault::new(e, path.display(), "give a file of texts, one a line"))?;
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    match texts.is_empty() {
        true => Err(Fault::new("no text", path.display(), "give a file of texts, one a line").into()),
        false => Ok(texts),
    }
}

/// Vectors on their way out.
struct Vectors {
    format: FormatName,
    element: ElementName,
    out: Box<dyn Write>,
}

impl Vectors {
    /// Opens the output, when nothing but the inputs themselves can go wrong any more.
    fn new(args: &Args, width: usize, count: usize) -> Result<Self> {
        let mut out = open(args)?;
        if args.format == FormatName::Npy {
            let element = if args.element == ElementName::F32 { "<f4" } else { "|i1" };
            let mut header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({count}, {width}), }}");
            // The values begin at a multiple of 64 bytes, after a line's end.
            let start = 10;
            let padded = (start + header.len() + 1).next_multiple_of(64) - start - 1;
            header.extend(std::iter::repeat_n(' ', padded - header.len()));
            header.push('\n');
            out.write_all(b"\x93NUMPY\x01\x00")?;
            out.write_all(&(header.len() as u16).to_le_bytes())?;
            out.write_all(header.as_bytes())?;
        }
        Ok(Self { format: args.format, element: args.element, out })
    }

    fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn put(&mut self, kind: &str, input: &str, vector: &[f32], left_out: usize) -> io::Result<()> {
        let largest = vector.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let bytes: Vec<i8> = vector.iter().map(|x| (x / scale).round_ties_even() as i8).collect();
        match (self.format, self.element) {
            (FormatName::Jsonl, element) => {
                let mut line = json!({ kind: input });
                match element {
                    ElementName::F32 => line["vector"] = vector.iter().map(|&x| Value::from(x)).collect(),
                    ElementName::Int8 => {
                        line["vector"] = bytes.iter().map(|&q| Value::from(q)).collect();
                        line["scale"] = scale.into();
                    }
                }
                if left_out > 0 {
                    line["tokens_left_out"] = left_out.into();
                }
                writeln!(self.out, "{line}")
            }
            (_, ElementName::F32) => vector.iter().try_for_each(|x| self.out.write_all(&x.to_le_bytes())),
            (_, ElementName::Int8) => bytes.iter().try_for_each(|q| self.out.write_all(&q.to_le_bytes())),
        }
    }
}
