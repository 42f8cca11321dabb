use super::*;

#[test]
fn names_of_audiocraft_are_those_of_hugging_face() {
    for (from, to) in [
        ("encoder.model.0.conv.conv.weight_g", "encoder.layers.0.conv.weight_g"),
        ("encoder.model.1.block.3.conv.conv.bias", "encoder.layers.1.block.3.conv.bias"),
        ("decoder.model.3.convtr.convtr.weight_v", "decoder.layers.3.conv.weight_v"),
        ("decoder.model.1.lstm.weight_hh_l1", "decoder.layers.1.lstm.weight_hh_l1"),
        ("quantizer.vq.layers.3._codebook.embed", "quantizer.layers.3.codebook.embed"),
    ] {
        assert_eq!(hugging_face_name(from), to);
    }
}
