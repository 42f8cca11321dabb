//! The tokenizer against the committed model's `tokenizer.json`; expected tokens are those of Hugging Face's tokenizers.

use std::path::Path;

use ossicle::whisper::encode_text::TextEncoder;
use ossicle::whisper::tokenizer::Tokenizer;

const EOT: u32 = 50256;

const CASES: &[(&str, &[u32])] = &[
    (
        " And so, my fellow Americans: ask not what your country can do for you.",
        &[843, 523, 11, 616, 5891, 3399, 25, 1265, 407, 644, 534, 1499, 460, 466, 329, 345, 13],
    ),
    (
        " Dr. O'Neill's 3 naïve café-goers  paid €12,50!\n",
        &[1583, 13, 440, 6, 26538, 338, 513, 41492, 40304, 12, 31006, 220, 3432, 10432, 1065, 11, 1120, 0, 198],
    ),
    (" 日本語テキスト", &[10545, 245, 98, 17312, 105, 45739, 252, 24336, 25084, 43302]),
    (" it's we'll", &[340, 338, 356, 1183]),
];

#[test]
fn texts_and_tokens_of_tiny_en() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/whisper-tiny.en/tokenizer.json");
    let json = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let tokenizer = Tokenizer::from_json(&json).unwrap();
    let encoder = TextEncoder::new(&tokenizer, EOT);
    for &(text, tokens) in CASES {
        assert_eq!(tokenizer.decode(tokens.iter().copied()), text);
        assert_eq!(encoder.encode(text), tokens, "{text}");
    }
    assert_eq!(tokenizer.bytes(EOT), b"<|endoftext|>");
    assert!((0..EOT).all(|token| !tokenizer.bytes(token).is_empty()));
}
