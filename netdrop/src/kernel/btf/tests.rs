use proptest::prelude::*;
use rstest::rstest;

use super::write::{Info, Writer, kind};
use super::*;

const INT: Info = Info { kind: kind::INT, elements: 0, flag: false };
const TYPEDEF: Info = Info { kind: kind::TYPEDEF, elements: 0, flag: false };
const POINTER: Info = Info { kind: kind::POINTER, elements: 0, flag: false };

/// `BTF_KIND_*` that only tests write.
const ARRAY: Info = Info { kind: 3, elements: 0, flag: false };
const CONST: Info = Info { kind: 10, elements: 0, flag: false };

struct Blob(Writer);

impl Blob {
    fn new() -> Self {
        Self(Writer::new())
    }

    fn int(&mut self, bytes: u32) -> u32 {
        self.0.record("", INT, bytes, &[bytes * 8])
    }

    /// Members as (name, type, bit offset).
    fn composite(&mut self, number: u32, name: &str, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        let tail: Vec<u32> =
            members.iter().flat_map(|(name, id, bit)| [self.0.string(name), *id, *bit]).collect();
        self.0.record(name, Info::new(number, members.len()), bytes, &tail)
    }

    fn structure(&mut self, name: &str, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.composite(kind::STRUCT, name, bytes, members)
    }

    fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

/// One struct that has it all: nests, a union, a typedef chain, an array, a pointer, both kinds of bit-field.
fn example() -> Vec<u8> {
    let mut blob = Blob::new();
    let (byte, word) = (blob.int(1), blob.int(4));
    let pointer = blob.0.record("", POINTER, 0, &[]);
    let name = blob.0.record("", ARRAY, 0, &[byte, word, 16]);
    let qualified = blob.0.record("", CONST, word, &[]);
    let typedef = blob.0.record("atomic", TYPEDEF, qualified, &[]);
    let three_bits = blob.0.record("", INT, 1, &[3 | 2 << 16]);
    let leaf = blob.structure("leaf", 8, &[("first", word, 0), ("second", typedef, 32)]);
    let union = blob.composite(kind::UNION, "", 8, &[("dev", pointer, 0), ("scratch", pointer, 0)]);
    let nest = blob.structure("", 16, &[("next", pointer, 0), ("", union, 64)]);
    blob.structure(
        "outer",
        64,
        &[
            ("", nest, 0),
            ("inner", leaf, 128),
            ("name", name, 192),
            ("old", three_bits, 320),
            ("pointer", pointer, 384),
        ],
    );
    let width = 2 << 24;
    let flagged = [blob.0.string("new"), byte, width | 6, blob.0.string("after"), byte, 8];
    blob.0.record("flagged", Info::new(kind::STRUCT, 2).flagged(true), 2, &flagged);
    blob.finish()
}

#[rstest]
#[case("next", 0, 8)]
#[case("dev", 8, 8)]
#[case("scratch", 8, 8)]
#[case("inner", 16, 8)]
#[case("inner.first", 16, 4)]
#[case("inner.second", 20, 4)]
#[case("name", 24, 16)]
fn member_is_found_at_its_place(#[case] path: &str, #[case] offset: u32, #[case] size: u32) {
    let bytes = example();
    let member = Btf::parse(&bytes).unwrap().member("outer", path).unwrap();
    assert_eq!((member.offset, member.size), (offset, size));
}

#[rstest]
#[case("absent", "next", "no struct `absent` in this BTF")]
#[case("outer", "absent", "struct `outer` has no member `absent` in this BTF")]
#[case("outer", "inner.absent", "struct `outer` has no member `inner.absent` in this BTF")]
#[case("outer", "first", "struct `outer` has no member `first` in this BTF")]
#[case("outer", "", "struct `outer` has no member `` in this BTF")]
#[case("outer", "old", "`outer.old` is a bit-field and can't be read as a whole number of bytes")]
#[case("flagged", "new", "`flagged.new` is a bit-field and can't be read as a whole number of bytes")]
#[case(
    "outer",
    "pointer.first",
    "`outer.pointer.first` goes through a member that is not an embedded struct or union"
)]
#[case(
    "outer",
    "name.first",
    "`outer.name.first` goes through a member that is not an embedded struct or union"
)]
fn member_is_refused_with_its_cause(#[case] structure: &str, #[case] path: &str, #[case] message: &str) {
    let bytes = example();
    let error = Btf::parse(&bytes).unwrap().member(structure, path).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn bit_fields_of_both_encodings_are_found() {
    let bytes = example();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.bit_field("flagged", "new"), Ok(BitField { offset: 6, width: 2 }));
    assert_eq!(btf.bit_field("outer", "old"), Ok(BitField { offset: 322, width: 3 }));
    assert_eq!(btf.member("flagged", "after").map(|member| member.offset), Ok(1));
    assert!(matches!(btf.bit_field("flagged", "after"), Err(BtfError::NoMember { .. })));
}

/// Two structs `s`: with `a` at the given bits, or without it.
fn twins(first: Option<u32>, second: Option<u32>) -> Vec<u8> {
    let mut blob = Blob::new();
    let word = blob.int(4);
    for place in [first, second] {
        let members: Vec<_> = place.map(|bit| ("a", word, bit)).into_iter().collect();
        blob.structure("s", 8, &members);
    }
    blob.finish()
}

#[rstest]
#[case::agreeing(Some(32), Some(32), true)]
#[case::only_one_has_it(None, Some(32), true)]
#[case::disagreeing(Some(0), Some(32), false)]
fn structs_of_one_name_must_agree(
    #[case] first: Option<u32>,
    #[case] second: Option<u32>,
    #[case] clear: bool,
) {
    let bytes = twins(first, second);
    let found = Btf::parse(&bytes).unwrap().member("s", "a");
    if clear {
        assert_eq!(found.map(|member| member.offset), Ok(4));
    } else {
        assert!(matches!(found, Err(BtfError::Ambiguous { .. })));
    }
}

#[test]
fn a_name_in_two_anonymous_nests_is_ambiguous() {
    let mut blob = Blob::new();
    let word = blob.int(4);
    let nest = blob.structure("", 4, &[("a", word, 0)]);
    blob.structure("s", 8, &[("", nest, 0), ("", nest, 32)]);
    let bytes = blob.finish();
    assert!(matches!(Btf::parse(&bytes).unwrap().member("s", "a"), Err(BtfError::Ambiguous { .. })));
}

#[test]
fn cycles_end_with_an_error() {
    let mut blob = Blob::new();
    let own = blob.0.next();
    blob.structure("s", 8, &[("a", own, 0), ("b", own + 3, 0), ("c", own + 5, 0)]);
    let nest = blob.0.next();
    blob.structure("", 8, &[("", nest, 0)]);
    blob.structure("endless", 8, &[("", nest, 0)]);
    let forth = blob.0.next();
    blob.0.record("forth", TYPEDEF, forth + 1, &[]);
    blob.0.record("back", TYPEDEF, forth, &[]);
    let array = blob.0.next();
    blob.0.record("", ARRAY, 0, &[array, 0, 2]);
    let bytes = blob.finish();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.member("s", "a.a.a.a").map(|member| member.offset), Ok(0));
    assert!(matches!(btf.member("endless", "x"), Err(BtfError::Endless { .. })));
    assert!(matches!(btf.member("s", "b"), Err(BtfError::Malformed { .. })));
    assert!(matches!(btf.member("s", "c"), Err(BtfError::Malformed { .. })));
}

#[test]
fn a_batch_answers_in_the_order_of_the_questions() {
    let bytes = example();
    let btf = Btf::parse(&bytes).unwrap();
    let questions = [("outer", "name"), ("leaf", "second"), ("none", "x"), ("outer", "next")];
    let answers: Vec<_> =
        btf.members(&questions).into_iter().map(|found| found.map(|member| member.offset).ok()).collect();
    assert_eq!(answers, [Some(24), Some(4), None, Some(0)]);
}

fn traced(parameters: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    let tail = vec![0; parameters * 2];
    let prototype = writer.record("", Info::new(kind::PROTOTYPE, parameters), 0, &tail);
    let pointer = writer.record("", POINTER, prototype, &[]);
    writer.record("btf_trace_kfree_skb", TYPEDEF, pointer, &[]);
    writer.record("btf_trace_broken", TYPEDEF, prototype, &[]);
    writer.finish()
}

#[test]
fn tracepoint_counts_the_arguments_of_a_program() {
    let bytes = traced(4);
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.tracepoint("kfree_skb"), Ok(Tracepoint { type_id: 3, arguments: 3 }));
    assert_eq!(btf.tracepoint("kfree"), Err(BtfError::NoTracepoint("kfree".into())));
    assert!(matches!(btf.tracepoint("broken"), Err(BtfError::Malformed { .. })));
    let bytes = traced(0);
    assert!(matches!(Btf::parse(&bytes).unwrap().tracepoint("kfree_skb"), Err(BtfError::Malformed { .. })));
}

fn enums(mut writer: Writer, name: &str) -> Vec<u8> {
    let (one, two) = (writer.string("ONE"), writer.string("TWO"));
    writer.record(name, Info::new(kind::ENUM, 2), 4, &[one, 1, two, u32::MAX]);
    writer.record("signed_enum", Info::new(kind::ENUM, 1).flagged(true), 4, &[two, u32::MAX]);
    writer.record("wide_enum", Info::new(kind::ENUM64, 1), 8, &[one, 1, 2]);
    writer.finish()
}

#[test]
fn enumerators_keep_sign_and_width() {
    let bytes = enums(Writer::new(), "plain_enum");
    let btf = Btf::parse(&bytes).unwrap();
    let values = |name| btf.enum_values(name).unwrap().iter().map(|one| one.value).collect::<Vec<_>>();
    assert_eq!(values("plain_enum"), [1, i64::from(u32::MAX)]);
    assert_eq!(values("signed_enum"), [-1]);
    assert_eq!(values("wide_enum"), [(2 << 32) | 1]);
    assert_eq!(btf.enum_values("no_enum"), Err(BtfError::NoEnum("no_enum".into())));
    assert_eq!(btf.enums_ending_with("_enum").unwrap().len(), 3);
    assert_eq!(btf.enums_ending_with("_other").unwrap(), []);
}

#[test]
fn split_blob_continues_its_base() {
    let base_bytes = example();
    let base = Btf::parse(&base_bytes).unwrap();
    let mut writer = Writer::after(base.end_id(), base.end_string());
    let member = writer.string("of_the_base");
    // Type 2 is the base's 4-byte integer.
    writer.record("module_struct", Info::new(kind::STRUCT, 1), 8, &[member, 2, 32]);
    let bytes = enums(writer, "module_enum");
    let btf = Btf::parse_split(&bytes, &base).unwrap();
    assert_eq!(
        btf.member("module_struct", "of_the_base").map(|found| (found.offset, found.size)),
        Ok((4, 4))
    );
    assert_eq!(btf.enum_values("module_enum").unwrap()[0].name, "ONE");
}

#[rstest]
#[case(|blob: &mut Vec<u8>| blob.truncate(23), "BTF is cut short inside its header")]
#[case(|blob: &mut Vec<u8>| blob.clear(), "BTF is cut short inside its header")]
#[case(|blob: &mut Vec<u8>| blob.truncate(100), "BTF is cut short inside its type section")]
#[case(|blob: &mut Vec<u8>| { blob.pop(); }, "BTF is cut short inside its string section")]
#[case(|blob: &mut Vec<u8>| blob.swap(0, 1), "not BTF: it was made for the other byte order")]
#[case(|blob: &mut Vec<u8>| blob[0] = 0, "not BTF: the magic number is wrong")]
#[case(|blob: &mut Vec<u8>| blob[2] = 2, "not BTF: its version is not 1")]
#[case(
    |blob: &mut Vec<u8>| blob[31] = 60,
    "BTF type 1 is of kind 60, which this netdrop does not know; a newer one may"
)]
fn broken_blob_is_refused(#[case] damage: fn(&mut Vec<u8>), #[case] message: &str) {
    let mut bytes = example();
    damage(&mut bytes);
    assert_eq!(Btf::parse(&bytes).unwrap_err().to_string(), message);
}

#[test]
fn unknown_kind_is_skipped_where_the_blob_gives_its_size() {
    let mut writer = Writer::new();
    // Kind 21: 4 bytes, and 8 for each of its 2 elements.
    writer.record("future", Info::new(21, 2), 0, &[0; 5]);
    writer.record("known", Info::new(kind::STRUCT, 0), 0, &[]);
    let blob = writer.finish();
    let body = &blob[24..];
    let mut layout = vec![0_u8; 22 * 4];
    layout[21 * 4..][..2].copy_from_slice(&[4, 8]);
    let mut extended = blob[..24].to_vec();
    extended[4] = 32;
    for word in [body.len(), layout.len()] {
        extended.extend_from_slice(&u32::try_from(word).unwrap().to_ne_bytes());
    }
    extended.extend_from_slice(body);
    extended.extend_from_slice(&layout);
    assert!(matches!(Btf::parse(&blob), Err(BtfError::UnknownKind { id: 1, kind: 21 })));
    assert!(matches!(Btf::parse(&extended).unwrap().member("known", "x"), Err(BtfError::NoMember { .. })));
}

/// Asks everything that can be asked; only a panic or a hang is a failure.
fn interrogate(bytes: &[u8]) {
    let Ok(btf) = Btf::parse(bytes) else { return };
    for path in ["next", "dev", "inner.second", "old", "name", "absent"] {
        let _ = btf.member("outer", path);
        let _ = btf.bit_field("outer", path);
    }
    let _ = btf.tracepoint("kfree_skb");
    let _ = btf.enum_values("plain_enum");
    let _ = btf.enums_ending_with("_enum");
    let keep = reduce::Keep {
        members: &[("outer", "inner.second")],
        enum_suffixes: &["_enum"],
        tracepoints: &["kfree_skb"],
    };
    let _ = reduce::reduce(bytes, keep);
}

proptest! {
    #[test]
    fn mutated_blobs_never_panic(
        which in 0..3_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16),
    ) {
        let mut bytes = [example(), traced(3), enums(Writer::new(), "plain_enum")][which].clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        interrogate(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_good_header_never_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut bytes = Writer::new().finish();
        bytes.truncate(24);
        let length = u32::try_from(body.len()).unwrap();
        bytes[12..16].copy_from_slice(&length.to_ne_bytes());
        bytes[20..24].copy_from_slice(&length.to_ne_bytes());
        bytes[16..20].copy_from_slice(&0_u32.to_ne_bytes());
        bytes.extend(body);
        interrogate(&bytes);
    }

    #[test]
    fn written_members_are_read_back(offsets in prop::collection::vec(0..1_u32 << 20, 1..40)) {
        let mut blob = Blob::new();
        let word = blob.int(4);
        let names: Vec<String> = (0..offsets.len()).map(|at| format!("m{at}")).collect();
        let members: Vec<_> =
            names.iter().zip(&offsets).map(|(name, offset)| (name.as_str(), word, offset * 8)).collect();
        blob.structure("s", 1 << 21, &members);
        let bytes = blob.finish();
        let btf = Btf::parse(&bytes).unwrap();
        for (name, offset) in names.iter().zip(offsets) {
            prop_assert_eq!(btf.member("s", name).unwrap().offset, offset);
        }
    }
}
