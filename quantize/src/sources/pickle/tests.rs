use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickles").join(name);
    std::fs::read(path).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<BTreeMap<String, Tensor>, String> {
    let wanted = |name: &str| !name.ends_with("num_batches_tracked");
    parse_wanted(Path::new("model.pth"), Arc::new(bytes), wanted).map_err(|e| e.to_string())
}

fn refused(bytes: Vec<u8>) -> String {
    let line = read(bytes).unwrap_err();
    assert!(line.starts_with("model.pth: ") && !line.contains('\n'), "{line}");
    line
}

/// A legacy file around the pickle of an object and one storage of four f32, `0`.
fn legacy(object: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    file.extend_from_slice(object);
    file.extend_from_slice(b"\x80\x02]X\x01\x00\x00\x000a.");
    file.extend_from_slice(&4u64.to_le_bytes());
    file.extend((0..4).flat_map(|n| (n as f32).to_le_bytes()));
    file
}

/// `{"w": tensor}`, the tensor a view of four f32.
fn tensor(offset: u8, shape: u8, stride: u8) -> Vec<u8> {
    let mut object =
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n".to_vec();
    object.extend_from_slice(b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ");
    object.extend_from_slice(&[b'K', offset, b'K', shape, 0x85, b'K', stride, 0x85]);
    object.extend_from_slice(b"\x89ccollections\nOrderedDict\n)RtRs.");
    object
}

#[test]
fn what_pytorch_wrote_is_read_in_every_format() {
    for name in ["legacy.pth", "zip.pt", "protocol4.pt"] {
        let tensors = read(fixture(name)).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a.brain", "a.half", "a.weight", "tail"], "{name}");
        assert_eq!(tensors["a.weight"].shape(), [2, 3]);
        assert_eq!(tensors["a.weight"].to_f32(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
        assert_eq!(tensors["a.half"].to_f32(), [0.0, 0.125, 0.25, 0.375]);
        assert_eq!(tensors["a.brain"].to_f32(), [-1.0, 0.0, 1.0]);
        assert_eq!(tensors["tail"].to_f32(), [6.0, 7.0, 8.0, 9.0]);
    }
    // The integer is refused where it is asked for.
    let all = parse(Path::new("model.pth"), Arc::new(fixture("zip.pt"))).unwrap_err().to_string();
    assert!(all.contains("a.num_batches_tracked: holds i64"), "{all}");
}

#[test]
fn of_a_training_checkpoint_the_state_dict_is_read() {
    let tensors = read(fixture("training.pt")).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["0.bias", "0.weight", "1.bias", "1.running_mean", "1.running_var", "1.weight"]);
    assert_eq!(tensors["1.running_var"].to_f32(), [1.0, 1.0]);
}

#[test]
fn what_would_be_code_is_refused_by_name() {
    let line = refused(fixture("module.pt"));
    assert!(line.contains("\"torch.nn.modules.container.Sequential\"") && line.contains("state_dict()"), "{line}");
    let shell = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.";
    assert!(refused(legacy(shell)).contains("it calls \"os.system\""));
    let by_stack = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.";
    assert!(refused(legacy(by_stack)).contains("it calls \"posix.system\""));
    assert!(refused(legacy(b"\x80\x02(ios\nsystem\n.")).contains("opcode INST"));
    assert!(refused(legacy(b"\x80\x02)\x81.")).contains("opcode NEWOBJ"));
    assert!(refused(legacy(b"\x80\x02B\x00\x00\x00\x00.")).contains("opcode 0x42 does not belong in a state dict"));
}

#[test]
fn views_stay_within_their_storage() {
    assert_eq!(read(legacy(&tensor(1, 3, 1))).unwrap()["w"].to_f32(), [1.0, 2.0, 3.0]);
    assert!(
        refused(legacy(&tensor(2, 3, 1))).contains("tensor w: shape [3] with strides [1] from value 2 on does not fit its storage of 4")
    );
    assert_eq!(read(legacy(&tensor(0, 2, 3))).unwrap()["w"].to_f32(), [0.0, 3.0]);
    assert!(refused(legacy(&tensor(1, 2, 3))).contains("does not fit its storage of 4"));
    let turned = &read(fixture("turned.pt")).unwrap()["turned"];
    assert_eq!((turned.shape(), turned.to_f32()), (&[5, 2][..], vec![0.0, 5.0, 1.0, 6.0, 2.0, 7.0, 3.0, 8.0, 4.0, 9.0]));
    // One value for ever: no more is copied than the file has.
    assert!(refused(legacy(&tensor(0, 255, 0))).contains("tensor w: shape [255] repeats more values than the file has"));
    let mut more = legacy(&tensor(0, 4, 1));
    more.push(0);
    assert!(refused(more).contains("1 bytes after the last storage"));
    // Two tensors that disagree about one storage.
    let one = tensor(0, 1, 1);
    let one = &one[..one.len() - 2];
    let float = one.windows(5).position(|bytes| bytes == b"Float").unwrap();
    let both = [one, b"s", &one[3..float], b"Half", &one[float + 5..], b"s."].concat();
    assert!(refused(legacy(&both)).contains("has two types or lengths"));
}

#[test]
fn memory_is_bounded_whatever_a_pickle_says() {
    // Four million empty dicts, and as many nested tuples.
    for fill in [b'}', 0x85] {
        let mut object = b"\x80\x02N".to_vec();
        object.resize(4 << 20, fill);
        assert!(refused(legacy(&object)).contains("more than 1048576 opcodes"));
    }
    // A dict that holds itself, and one that claims a text of 4 GB.
    assert!(refused(legacy(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")).contains("storage \"0\" does not belong to a tensor"));
    assert!(refused(legacy(b"\x80\x02X\xff\xff\xff\xff")).contains("cut off"));
}

#[test]
fn a_file_that_is_cut_off_is_one_line_wherever_it_ends() {
    for name in ["legacy.pth", "zip.pt", "protocol4.pt"] {
        let whole = fixture(name);
        for end in 0..whole.len() {
            refused(whole[..end].to_vec());
        }
    }
}

#[test]
fn a_compressed_entry_is_refused() {
    let mut file = fixture("zip.pt");
    let central = file.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    file[central + 10] = 8;
    assert!(refused(file).contains("\"zip/data.pkl\" is compressed"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_give_tensors_or_one_line(
        name in prop::sample::select(vec!["legacy.pth", "zip.pt", "protocol4.pt", "training.pt"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = fixture(name);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        match read(file) {
            Ok(tensors) => prop_assert!(tensors.values().all(|tensor| tensor.to_f32().len() == tensor.len())),
            Err(line) => prop_assert!(line.starts_with("model.pth: ") && !line.contains('\n'), "{}", line),
        }
    }

    #[test]
    fn any_opcodes_give_tensors_or_one_line(object in prop::collection::vec(prop::sample::select(b"()]}NKtabsueqhRQcX.\x85\x86\x87\x88\x89\x93\x94\x8c\x00\x01\x02".to_vec()), 0..60)) {
        if let Err(line) = read(legacy(&object)) {
            prop_assert!(line.starts_with("model.pth: ") && !line.contains('\n'), "{}", line);
        }
    }
}
