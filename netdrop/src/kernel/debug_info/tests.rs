//! Lines of the small kernels in `netdrop/tests/fixtures/debug_info`, as if one of them ran.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use object::{File, Object as _, ObjectSymbol as _, SymbolKind};
use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;

use super::build_id::tests::note;
use super::*;

const RELEASE: &str = "6.1.0-t";
const BUILD: [u8; 20] = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67";
const MODULE_BUILD: [u8; 20] =
    *b"\xfe\xdc\xba\x98\x76\x54\x32\x10\xfe\xdc\xba\x98\x76\x54\x32\x10\xfe\xdc\xba\x98";
/// How far KASLR has moved the kernel.
const SLIDE: u64 = 0x1e00_0000;
const DEBIANS_PLACE: &str = "usr/lib/debug/boot/vmlinux-6.1.0-t";

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/debug_info").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A machine that runs the fixture's kernel.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.add("sys/kernel/notes", [note(b"Linux", 0x100, b"x"), note(b"GNU", 3, &BUILD)].concat());
        machine
    }

    fn with(path: &str, file: &str) -> Self {
        let machine = Self::new();
        machine.add(path, fixture(file));
        machine
    }

    fn add(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn find(&self, explicit: Option<&Path>) -> Result<DebugInfo, NoDebugInfo> {
        let places = Places {
            root: self.0.path().into(),
            release: RELEASE.into(),
            debuginfod: Some(self.0.path().join("cache")),
        };
        DebugInfo::find_in(places, explicit)
    }

    /// What is said, without the folder that stands for `/`.
    fn complaint(&self, explicit: Option<&Path>) -> String {
        let error = self.find(explicit).expect_err("nothing should be found").to_string();
        error.replace(&*self.0.path().to_string_lossy(), "")
    }
}

/// The symbols of a file by name, as they are in it.
fn symbols_of(file: &str) -> HashMap<String, u64> {
    let bytes = fixture(file);
    let file = File::parse(&*bytes).unwrap();
    file.symbols().map(|symbol| (symbol.name().unwrap().to_owned(), symbol.address())).collect()
}

/// The kallsyms of the kernel that runs.
fn kallsyms() -> String {
    let bytes = fixture("vmlinux");
    let file = File::parse(&*bytes).unwrap();
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global());
    let functions = functions.filter(|symbol| !symbol.name().unwrap().starts_with("site_"));
    let lines: Vec<_> = functions
        .map(|symbol| format!("{:x} T {}\n", symbol.address() + SLIDE, symbol.name().unwrap()))
        .collect();
    lines.concat()
}

fn shown(frames: &[Frame]) -> String {
    let lines = frames.iter().map(|frame| {
        let Frame { function, file, line, inlined } = frame;
        let inlined = if *inlined { " inlined" } else { "" };
        format!("{} {}:{}{inlined}", function.as_deref().unwrap(), file.as_deref().unwrap(), line.unwrap())
    });
    lines.collect::<Vec<_>>().join(", ")
}

#[rstest]
fn an_address_has_its_lines(
    #[values("vmlinux", "vmlinux-dwarf4", "vmlinux-no-aranges", "vmlinux-only-debug")] file: &str,
    #[values(
        ("site_inlined", "check include/net/check.h:6 inlined, receive net/ipv4/drop.c:5"),
        ("site_plain", "receive net/ipv4/drop.c:7"),
        ("site_assembly", "entry kernel/entry.S:5"),
        // A site that is told: the function's own start, not what stands in front of it.
        ("receive", "receive net/ipv4/drop.c:4")
    )]
    site: (&str, &str),
) {
    let (site, expected) = site;
    let machine = Machine::with(DEBIANS_PLACE, file);
    let mut info = machine.find(None).unwrap();
    let symbols = Symbols::read(kallsyms().as_bytes()).unwrap();
    let address = symbols_of("vmlinux")[site] + SLIDE;
    assert_eq!(shown(&info.frames(&symbols, address)), expected);
    assert_eq!(shown(&info.frames(&symbols, address)), expected, "the second time, from memory");
}

#[test]
fn what_is_not_in_the_kernel_has_no_lines() {
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    let mut info = machine.find(None).unwrap();
    let symbols = Symbols::read(format!("{}f000 T other\n", kallsyms()).as_bytes()).unwrap();
    for address in [0, 1, 0xf004, symbols_of("vmlinux")["receive"], u64::MAX] {
        assert_eq!(*info.frames(&symbols, address), [], "{address:#x}");
    }
}

#[rstest]
#[case("usr/lib/debug/lib/modules/6.1.0-t/vmlinux")]
#[case("lib/modules/6.1.0-t/build/vmlinux")]
#[case("boot/vmlinux-6.1.0-t")]
#[case("usr/lib/debug/.build-id/01/23456789abcdef0123456789abcdef01234567.debug")]
#[case("cache/0123456789abcdef0123456789abcdef01234567/debuginfo")]
fn it_is_found_where_it_lies(#[case] path: &str) {
    let machine = Machine::with(path, "vmlinux");
    let info = machine.find(None).unwrap();
    assert_eq!(info.to_string(), format!("source lines: from {}/{path}", machine.0.path().display()));
}

#[test]
fn a_file_of_another_build_is_passed_over() {
    let machine = Machine::with(DEBIANS_PLACE, "module.ko");
    let good = machine.add("boot/vmlinux-6.1.0-t", fixture("vmlinux"));
    assert_eq!(machine.find(None).unwrap().kernel.path(), good);
}

#[test]
fn without_any_the_next_step_is_said() {
    insta::assert_snapshot!(Machine::new().complaint(None), @"no source lines: no debug information of this kernel (6.1.0-t) was found; get it with `debuginfod-find debuginfo 0123456789abcdef0123456789abcdef01234567`, or name the file with --vmlinux");
}

#[rstest]
#[case("ID=debian\n", "apt install linux-image-6.1.0-t-dbg")]
#[case("ID=ubuntu\nID_LIKE=debian\n", "apt install linux-image-6.1.0-t-dbgsym")]
#[case("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt install linux-image-6.1.0-t-dbgsym")]
#[case("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf debuginfo-install kernel-core-6.1.0-t")]
#[case("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "zypper install kernel-default-debuginfo")]
fn the_next_step_is_the_distributions(#[case] os_release: &str, #[case] command: &str) {
    let machine = Machine::new();
    machine.add("etc/os-release", os_release);
    let complaint = machine.complaint(None);
    assert!(complaint.contains(&format!("get it with `{command}`,")), "{complaint}");
}

#[rstest]
#[case::other_build(
    "module.ko",
    "is of another build: its build-id is fedcba9876543210fedcba9876543210fedcba98, that of what runs is 0123456789abcdef0123456789abcdef01234567; get it with"
)]
#[case::stripped("vmlinux-stripped", "has no debug information (.debug_info): it was stripped")]
#[case::compressed("vmlinux-compressed", "run `objcopy --decompress-debug-sections` on a copy of it")]
#[case::no_anchor("vmlinux-no-anchor", "has no symbol _stext or _text")]
#[case::no_elf("README.md", "is not an ELF file, or is cut short")]
fn a_file_that_is_given_is_used_or_refused(#[case] file: &str, #[case] expected: &str) {
    // What could be found is not used instead.
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    let given = machine.add("given", fixture(file));
    let complaint = machine.complaint(Some(&given));
    assert!(complaint.starts_with("no source lines: /given ") && complaint.contains(expected), "{complaint}");
}

#[rstest]
#[case::missing("nothing", "can't be read: No such file")]
#[case::folder("sys", "can't be read: it is not a regular file")]
fn a_path_that_is_no_file_is_refused(#[case] path: &str, #[case] expected: &str) {
    let machine = Machine::new();
    let complaint = machine.complaint(Some(&machine.0.path().join(path)));
    assert!(complaint.contains(expected), "{complaint}");
}

#[test]
fn a_kernel_without_a_build_id_is_told() {
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    machine.add("sys/kernel/notes", note(b"Linux", 0x100, b"x"));
    assert!(matches!(machine.find(None), Err(NoDebugInfo::NoBuildId)));
}

const TEXT: u64 = 0xffff_ffff_c0a0_0000;
const UNLIKELY: u64 = 0xffff_ffff_c0b0_0000;

fn module_symbols() -> Symbols {
    let own = format!("{TEXT:x} t module_receive\t[dr_op]\n{UNLIKELY:x} t module_unlikely\t[dr_op]\n");
    Symbols::read((kallsyms() + &own).as_bytes()).unwrap()
}

fn load_module(machine: &Machine, text: u64) {
    machine.add("sys/module/dr_op/notes/.note.gnu.build-id", note(b"GNU", 3, &MODULE_BUILD));
    for (section, address) in [(".text", text), (".text.unlikely", UNLIKELY), (".init.text", TEXT)] {
        machine.add(&format!("sys/module/dr_op/sections/{section}"), format!("{address:#018x}\n"));
    }
}

#[rstest]
#[case::debian("usr/lib/debug/lib/modules/6.1.0-t/kernel/net/dr-op.ko")]
#[case::fedora("usr/lib/debug/usr/lib/modules/6.1.0-t/kernel/net/dr-op.ko.debug")]
#[case::own("lib/modules/6.1.0-t/kernel/net/dr-op.ko")]
#[case::build_id("usr/lib/debug/.build-id/fe/dcba9876543210fedcba9876543210fedcba98.debug")]
fn a_module_has_lines(#[case] path: &str) {
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    machine.add("lib/modules/6.1.0-t/modules.dep", "kernel/net/dr-op.ko.zst: \n");
    machine.add(path, fixture("module.ko"));
    load_module(&machine, TEXT);
    let (symbols, sites) = (module_symbols(), symbols_of("module.ko"));
    let mut info = machine.find(None).unwrap();
    let mut at = |address| shown(&info.frames(&symbols, address));
    assert_eq!(
        at(TEXT + sites["site_inlined"]),
        "check include/net/check.h:6 inlined, module_receive net/module/module.c:5"
    );
    assert_eq!(at(UNLIKELY + sites["site_unlikely"]), "module_unlikely net/module/module.c:11");
}

#[test]
fn a_module_that_was_loaded_again_is_found_again() {
    const AGAIN: u64 = 0xffff_ffff_c0c0_0000;
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    machine
        .add("usr/lib/debug/.build-id/fe/dcba9876543210fedcba9876543210fedcba98.debug", fixture("module.ko"));
    let mut info = machine.find(None).unwrap();
    let site = symbols_of("module.ko")["site_inlined"];
    for text in [TEXT, AGAIN] {
        load_module(&machine, text);
        let symbols = Symbols::read(format!("{text:x} t module_receive\t[dr_op]\n").as_bytes()).unwrap();
        assert_eq!(info.frames(&symbols, text + site).len(), 2, "{text:#x}");
    }
}

#[test]
fn a_module_without_debug_information_has_no_lines() {
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    let mut info = machine.find(None).unwrap();
    let symbols = module_symbols();
    assert_eq!(*info.frames(&symbols, TEXT + 4), [], "not loaded");
    load_module(&machine, TEXT);
    assert_eq!(*info.frames(&symbols, TEXT + 8), [], "no file");
}

/// As a BPF program, which kallsyms shows as of a module that there is not.
#[test]
fn what_is_no_module_has_no_lines() {
    let machine = Machine::with(DEBIANS_PLACE, "vmlinux");
    let symbols = Symbols::read(&b"ffffffffc0100000 t bpf_prog_0123456789abcdef\t[bpf]\n"[..]).unwrap();
    assert_eq!(*machine.find(None).unwrap().frames(&symbols, 0xffff_ffff_c010_0010), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A file that was cut short, or of which some bytes are others, gives lines, none or an error.
    #[test]
    fn a_damaged_file_does_no_harm(
        file in prop::sample::select(vec!["vmlinux", "vmlinux-dwarf4", "vmlinux-no-aranges", "module.ko"]),
        length in 0.0..=1.0_f64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut bytes = fixture(file);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a small length")]
        bytes.truncate((bytes.len() as f64 * length) as usize);
        for address in [0x1004, 0xffff_ffff_8100_0019] {
            let _ = frames_of_bytes(&bytes, address);
        }
    }
}
