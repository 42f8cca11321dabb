//! The CTranslate2 reader: what it must read and what it must refuse.

use std::sync::LazyLock;

use crate::common::{Float, TempDir, Var, ct2_file, ct2_variables, tensors, write_ct2, write_hf};
use ossicle_quantize::ct2::{Fault, parse};
use ossicle_quantize::{Error, Source, import};
use proptest::prelude::*;

fn open(vars: &[Var]) -> Result<Source, Error> {
    let dir = TempDir::new();
    write_ct2(&dir.0, vars);
    import::open(&dir.0)
}

fn refusal(vars: &[Var]) -> String {
    open(vars).expect_err("must be refused").to_string()
}

fn edit(name: &str, change: impl FnOnce(&mut Var)) -> Vec<Var> {
    let mut vars = ct2_variables(&tensors(), Float::F16);
    change(vars.iter_mut().find(|var| var.0 == name).unwrap());
    vars
}

#[test]
fn same_model_as_the_hugging_face_checkpoint() {
    let dir = TempDir::new();
    write_hf(&dir.0, &tensors(), Float::F32);
    let hf = import::open(&dir.0).unwrap();
    for float in [Float::F32, Float::F16, Float::Bf16] {
        let ct2 = open(&ct2_variables(&tensors(), float)).unwrap();
        assert_eq!(ct2.model.config(), hf.model.config());
        assert_eq!(ct2.generation, hf.generation);
        for (name, _) in hf.model.tensors() {
            assert_eq!(ct2.model.values(name).unwrap(), hf.model.values(name).unwrap(), "{float:?} {name}");
        }
        assert_eq!(ct2.model.tensors().count(), hf.model.tensors().count());
    }
}

#[test]
fn special_tokens_come_from_the_tokenizer() {
    let source = open(&ct2_variables(&tensors(), Float::F16)).unwrap();
    let g = source.generation;
    assert_eq!((g.eos_token_id, g.decoder_start_token_id, g.no_timestamps_token_id), (30, 31, 39));
    assert_eq!((g.prev_sot_token_id, g.no_speech_token_id), (37, 38));
    // config.json's lang_ids say 33 and 34.
    assert_eq!(g.lang_to_id.into_iter().collect::<Vec<_>>(), [("<|de|>".to_owned(), 33), ("<|en|>".to_owned(), 32)]);
    assert_eq!((g.task_to_id["translate"], g.task_to_id["transcribe"]), (34, 35));
    assert!(!g.is_multilingual);
}

#[test]
fn a_key_bias_survives() {
    let mut all = tensors();
    let name = "model.encoder.layers.1.self_attn.k_proj.bias";
    all.insert(name.into(), (vec![128], vec![0.5; 128]));
    let source = open(&ct2_variables(&all, Float::F16)).unwrap();
    assert_eq!(source.model.values(name).unwrap(), [0.5; 128]);
}

#[test]
fn truncated_anywhere_is_an_error() {
    let file = SMALL.clone();
    parse(&file).unwrap();
    for len in 0..file.len() {
        let e = parse(&file[..len]).expect_err("truncated");
        assert!(e.offset <= len && matches!(e.fault, Fault::Truncated { .. }), "{len} bytes: {e}");
    }
    let mut longer = file;
    longer.push(0);
    assert_eq!(parse(&longer).unwrap_err().fault, Fault::TrailingBytes(1));
}

#[test]
fn header_faults_are_named() {
    let file = ct2_file(&[]);
    let set = |at: usize, byte: u8| {
        let mut bytes = file.clone();
        bytes[at] = byte;
        parse(&bytes).unwrap_err()
    };
    assert_eq!(set(0, 5).fault, Fault::BinaryVersion(5));
    assert_eq!(set(6, b'w').fault, Fault::Spec("whisperSpec".into()));
    assert_eq!(set(17, 1).fault, Fault::BadString);
    assert_eq!(set(6, 0xff).fault, Fault::BadString);
    assert_eq!(set(18, 9).fault, Fault::Revision(9));
    assert!(matches!(parse(&file).unwrap_err().fault, Fault::DanglingAlias(_)));
}

#[test]
fn variable_faults_are_named() {
    let fault = |var: Var| parse(&ct2_file(&[var])).unwrap_err();
    let data = vec![0; 12];
    assert_eq!(fault(("x".into(), vec![1; 5], 0, data.clone())).fault, Fault::Rank(5));
    assert_eq!(fault(("x".into(), vec![3], 9, data.clone())).fault, Fault::UnknownDtype(9));
    let e = fault(("x".into(), vec![4], 0, data.clone()));
    assert_eq!(e.fault, Fault::ByteCount { expected: Some(16), found: 12 });
    assert!(e.to_string().contains("variable 0 (x): byte count"), "{e}");
    let huge = fault(("x".into(), vec![u32::MAX; 4], 0, data.clone()));
    assert_eq!(huge.fault, Fault::ByteCount { expected: None, found: 12 });
    let x: Var = ("x".into(), vec![3], 0, data);
    assert_eq!(parse(&ct2_file(&[x.clone(), x])).unwrap_err().fault, Fault::Duplicate("x".into()));
}

#[test]
fn int8_matrices_are_refused() {
    let text = refusal(&edit("encoder/layer_0/ffn/linear_0/weight", |var| {
        var.2 = 1;
        var.3.truncate(32 * 128);
    }));
    assert!(text.contains("encoder/layer_0/ffn/linear_0/weight: holds i8"), "{text}");
}

#[test]
fn wrong_shapes_are_refused() {
    let wider = |var: &mut Var| {
        var.1[0] += 1;
        let row = var.3.len() / (var.1[0] as usize - 1);
        var.3.extend(vec![0; row]);
    };
    for name in ["encoder/conv2/weight", "decoder/layer_0/attention/linear_1/bias", "encoder/layer_1/ffn/layer_norm/gamma"] {
        let text = refusal(&edit(name, wider));
        assert!(text.contains("shape [") && text.contains("expected ["), "{name}: {text}");
    }
}

#[test]
fn unknown_missing_and_odd_variables_are_refused() {
    let mut vars = ct2_variables(&tensors(), Float::F16);
    vars.push(("decoder/projection/bias".into(), vec![1], 4, vec![0, 0]));
    assert!(refusal(&vars).contains("decoder/projection/bias: not part of Whisper"));

    let mut vars = ct2_variables(&tensors(), Float::F16);
    vars.retain(|var| var.0 != "encoder/layer_1/ffn/linear_1/bias");
    assert!(refusal(&vars).contains("encoder/layer_1/ffn/linear_1/bias: missing"));

    assert!(refusal(&edit("decoder/activation", |var| var.3 = vec![0])).contains("decoder/activation is 0, expected 3"));
    assert!(refusal(&edit("decoder/num_heads", |var| var.3 = vec![3, 0])).contains("decoder_attention_heads is 3"));
    assert!(refusal(&edit("decoder/num_heads", |var| var.3 = vec![0, 0])).contains("decoder_attention_heads is 0"));
    assert!(refusal(&edit("decoder/num_heads", |var| var.3 = vec![255, 255])).contains("expected a count"));
}

/// A file without the matrices, whose bytes mean nothing to the parser.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut small: Vec<Var> = ct2_variables(&tensors(), Float::F16).into_iter().filter(|var| var.3.len() <= 256).collect();
    // The output projection is another name for it.
    small.push(("decoder/embeddings/weight".into(), vec![2], 4, vec![0; 4]));
    small.sort();
    ct2_file(&small)
});

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn damaged_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut file = SMALL.clone();
        for (at, byte) in edits {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(container) = parse(&file) {
            prop_assert!(container.variables.values().all(|v| v.bytes.end <= file.len()));
        }
    }
}
