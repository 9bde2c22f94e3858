use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::kernel::btf::Btf;
use crate::kernel::fixtures;
use crate::kernel::reasons::Reasons;
use crate::kernel::symbols::SymbolsError;

/// What the commands of the data files may begin with.
const TOOLS: &str = "arping audit2allow ausearch bpftool bpftrace bridge candump cat conntrack devlink dmesg echo ethtool grep hostapd_cli ip \
    iptables iptables-save iw journalctl lnstat modprobe mpstat netdrop nft nstat ovs-appctl ovs-ofctl ping ps renice ss swanctl sysctl \
    systemctl tc tcpdump wc wg wpa_cli docker kill perf strace taskset top ynl";
/// What fits into 80 columns behind `  $ `.
const COMMAND_WIDTH: usize = 76;
const SENTENCE_LENGTH: usize = 170;

fn lacking<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    names.filter(|name| reason(name).is_none()).collect()
}

/// No kernel that netdrop is tested on may have a reason that nothing is known about.
#[test]
fn every_reason_of_every_kernel_is_known() {
    for kernel in fixtures::KERNELS {
        let bytes = fixtures::btf(kernel);
        let btf = Btf::parse(&bytes).unwrap();
        let Some(mut reasons) = Reasons::from_btf(&btf) else { continue };
        if fixtures::has(&format!("{kernel}-openvswitch")) {
            let module = fixtures::btf(&format!("{kernel}-openvswitch"));
            assert!(reasons.add_enums(&Btf::parse_split(&module, &btf).unwrap()) > 0);
        }
        let lacking = lacking(reasons.iter().map(|(_, name)| &**name));
        assert!(lacking.is_empty(), "{kernel}: {lacking:?}");
    }
}

#[rstest]
#[case("6.12")]
#[case("7.3")]
fn every_reason_of_wifi_is_known(#[case] kernel: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reasons");
    let names = std::fs::read_to_string(folder.join(format!("{kernel}-mac80211.txt"))).unwrap();
    assert!(names.lines().count() > 40);
    let lacking = lacking(names.lines());
    assert!(lacking.is_empty(), "{lacking:?}");
}

/// `enum sk_rst_reason` as kernels have it; 6.10, where it begins, has fewer.
#[rstest]
#[case("6.12")]
#[case("6.18")]
#[case("7.3")]
fn every_reason_of_a_reset_is_known(#[case] kernel: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reasons");
    let names = std::fs::read_to_string(folder.join(format!("{kernel}-resets.txt"))).unwrap();
    assert_eq!(names.lines().count(), 25);
    let lacking: Vec<_> = names.lines().filter(|name| reset(name).is_none()).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[rstest]
#[case("6.1")]
#[case("6.12")]
#[case("6.18")]
#[case("7.3")]
fn every_built_in_reason_is_known(#[case] release: &str) {
    let reasons = Reasons::built_in(release);
    assert!(reasons.iter().count() > 60);
    let lacking = lacking(reasons.iter().map(|(_, name)| &**name));
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn names_are_there_once() {
    let names: Vec<_> = entries().map(|entry| (entry.kind(), entry.name())).collect();
    let distinct: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(names.len(), distinct.len(), "{:?}", names.windows(2).find(|pair| pair[0] == pair[1]));
    let count = |kind| names.iter().filter(|(one, _)| *one == kind).count();
    assert!(count(Kind::Reason) >= 220 && count(Kind::Function) >= 150, "{}", names.len());
}

/// A misspelt field would be lost in silence.
#[test]
fn records_have_known_fields_alone() {
    const FIELDS: [&str; 18] = [
        "Reason", "Site", "Trap", "Reset", "Check", "Class", "Like", "Meaning", "Normal", "Cause", "Confirm",
        "Remedy", "Caution", "Source", "Setting", "Default", "Scope", "Rule",
    ];
    for entry in entries() {
        for line in entry.record.lines().filter(|line| !line.starts_with('#')) {
            let field = line.split_once(": ").map(|(field, _)| field);
            assert!(field.is_some_and(|field| FIELDS.contains(&field)), "{}: {line}", entry.name());
        }
        for field in ["Class", "Like", "Meaning", "Normal", "Caution"] {
            assert!(entry.fields(field).count() <= 1, "{}: {field} is there twice", entry.name());
        }
    }
}

#[test]
fn every_entry_is_complete() {
    for entry in entries() {
        let name = entry.name();
        let class = entry.field("Class").map(str::parse::<Class>);
        match entry.kind() {
            Kind::Reset | Kind::Check | Kind::Setting => assert_eq!(class, None, "{name} is no drop"),
            _ => assert!(class.is_some_and(|class| class.is_ok()), "{name} has no class"),
        }
        assert!(!entry.meaning().is_empty(), "{name} has no meaning");
        assert!(!entry.sources().is_empty(), "{name} has no source");
        assert_eq!(
            entry.like().is_some(),
            entry.field("Like").is_some(),
            "{name} is like something that isn't there"
        );
        if entry.class() == Class::Lifecycle {
            assert!(entry.normal().is_some(), "{name}: why is it normal, and when not?");
            continue;
        }
        if entry.kind() == Kind::Setting {
            assert!(entry.default().is_some() && entry.caution().is_some(), "{name}");
            continue;
        }
        let has = [!entry.causes().is_empty(), !entry.confirm().is_empty(), !entry.remedy().is_empty()];
        assert!(has.into_iter().all(|has| has) && entry.caution().is_some(), "{name}: {has:?}");
        assert_eq!(entry.normal(), None, "{name} is loss: nothing about it is normal");
    }
}

#[test]
fn sentences_are_sentences() {
    for entry in entries() {
        let name = entry.name();
        let short = [entry.meaning()].into_iter().chain(entry.causes()).chain(entry.caution());
        for sentence in short.clone() {
            assert!(sentence.len() <= SENTENCE_LENGTH, "{name}: {} letters: {sentence}", sentence.len());
        }
        let advice =
            entry.remedy().into_iter().filter(|step| step.command.is_none()).filter_map(|step| step.note);
        for sentence in short.chain(entry.normal()).chain(advice) {
            assert!(sentence.ends_with('.'), "{name}: no full stop: {sentence}");
        }
    }
}

#[test]
fn commands_name_known_tools_and_fit_a_line() {
    let tools: BTreeSet<_> = TOOLS.split_whitespace().collect();
    let steps = entries()
        .flat_map(|entry| entry.confirm().into_iter().chain(entry.remedy()).map(move |step| (entry, step)));
    for (entry, step) in steps {
        let Some(command) = step.command else { continue };
        assert!(command.len() <= COMMAND_WIDTH, "{}: {} letters: {command}", entry.name(), command.len());
        for part in unquoted(command).split('|') {
            let tool = part.split_whitespace().next().unwrap_or_default();
            assert!(tools.contains(tool), "{}: `{tool}` in {command}", entry.name());
        }
    }
}

/// What the shell sees outside of quotes.
fn unquoted(command: &str) -> String {
    command.split('\'').step_by(2).collect()
}

#[test]
fn sources_are_files_of_the_kernel() {
    for source in entries().flat_map(Entry::sources) {
        let in_tree = ["net/", "drivers/net/", "include/net/", "kernel/sched/", "mm/", "fs/proc/"]
            .iter()
            .any(|folder| source.file.starts_with(folder));
        let suffix = std::path::Path::new(source.file).extension().and_then(|suffix| suffix.to_str());
        assert!(in_tree && matches!(suffix, Some("c" | "h")), "{source:?}");
        let name = |function: &str| function.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(source.function.is_none_or(name), "{source:?}");
    }
}

#[rstest]
#[case(Some("NETFILTER_DROP"), None, Class::Policy)]
#[case(Some("TCP_LISTEN_OVERFLOW"), None, Class::Congestion)]
#[case(Some("NO_SOCKET"), Some("enqueue_to_backlog"), Class::NoReceiver)]
#[case(Some("QUEUE_PURGE"), None, Class::Lifecycle)]
#[case(Some("NOT_SPECIFIED"), None, Class::Unknown)]
#[case::by_its_function(Some("NOT_SPECIFIED"), Some("enqueue_to_backlog"), Class::Congestion)]
#[case::a_split_function(Some("NOT_SPECIFIED"), Some("nf_hook_slow.cold"), Class::Policy)]
#[case::no_reasons_at_all(None, Some("skb_queue_purge"), Class::Lifecycle)]
#[case(None, Some("a_driver_xmit"), Class::Unknown)]
#[case(None, None, Class::Unknown)]
#[case::never_a_guess(Some("A_REASON_OF_TOMORROW"), Some("nf_hook_slow"), Class::Unknown)]
fn a_drop_has_its_class(#[case] reason: Option<&str>, #[case] function: Option<&str>, #[case] class: Class) {
    assert_eq!(class_of(reason, function), class);
}

/// A driver's own trap is judged by its group.
#[rstest]
#[case("blackhole_route", "l3_drops", Class::Policy)]
#[case("tail_drop", "buffer_drops", Class::Congestion)]
#[case("gtp_parsing", "parser_error_drops", Class::Malformed)]
#[case("a_drivers_own", "buffer_drops", Class::Congestion)]
#[case("a_drivers_own", "acl_drops", Class::Policy)]
#[case("a_drivers_own", "l2_drops", Class::Unknown)]
#[case("", "", Class::Unknown)]
fn a_trap_has_its_class(#[case] name: &str, #[case] group: &str, #[case] class: Class) {
    assert_eq!(class_of_trap(name, group), class);
}

#[test]
fn classes_are_written_as_they_are_read() {
    for class in Class::ALL {
        assert_eq!(class.to_string().parse(), Ok(class));
    }
    insta::assert_snapshot!("loss".parse::<Class>().unwrap_err(), @"there is no class `loss`; the classes are policy, congestion, no-receiver, malformed, routing, lifecycle, unknown");
}

#[test]
fn what_a_record_lacks_comes_from_the_one_it_is_like() {
    let entry = reason("QDISC_DROP_OVERLIMIT").unwrap();
    assert_eq!(entry.like().map(Entry::name), Some("QDISC_OVERLIMIT"));
    assert_eq!(entry.causes(), reason("QDISC_OVERLIMIT").unwrap().causes());
    assert_eq!(entry.confirm(), reason("QDISC_DROP").unwrap().confirm());
    assert_ne!(entry.meaning(), reason("QDISC_DROP").unwrap().meaning());
}

#[test]
fn steps_are_commands_or_advice() {
    let steps = reason("NO_SOCKET").unwrap().confirm();
    assert_eq!(steps[1].command, Some("nstat -az UdpNoPorts TcpOutRsts"));
    assert_eq!(steps[1].note, Some("UDP to closed ports; resets sent for TCP"));
    assert!(reason("SOCKET_RCVBUFF").unwrap().remedy().iter().any(|step| step.command.is_none()));
}

/// What has one name and two meanings says which is which.
#[test]
fn a_drop_and_a_reset_of_one_name_are_told_apart() {
    let entries = ask("NO_SOCKET", &mut Made).unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.kind()).collect::<Vec<_>>(), [Kind::Reason, Kind::Reset]);
    assert_ne!(entries[0].meaning(), entries[1].meaning());
    let only = |text| ask(text, &mut Made).unwrap().entries[0].kind();
    assert_eq!(only("SKB_DROP_REASON_NO_SOCKET"), Kind::Reason);
    assert_eq!(only("sk_rst_reason_no_socket"), Kind::Reset);
}

/// A kernel with one named reason, one function, and hidden addresses above it.
struct Made;

impl Kernel for Made {
    fn reason(&mut self, number: u32) -> Option<String> {
        match number {
            3 => Some("NO_SOCKET".into()),
            0x30005 => Some("QDISC_DROP_FLOOD_PROTECTION".into()),
            99 => Some("A_REASON_OF_TOMORROW".into()),
            _ => None,
        }
    }

    fn function(&mut self, address: u64) -> Result<Option<(String, u64)>, SymbolsError> {
        match address & 0xffff {
            0x1234 => Ok(Some(("ip_forward".into(), 0x4bc))),
            0xffff => Err(SymbolsError::Restricted),
            _ => Ok(None),
        }
    }
}

#[rstest]
#[case::two_of_a_name("no_socket", &["NO_SOCKET", "NO_SOCKET"], None)]
#[case("SK_RST_REASON_NO_SOCKET", &["NO_SOCKET"], None)]
#[case("tcp_abort_on_close", &["TCP_ABORT_ON_CLOSE"], None)]
#[case("SKB_DROP_REASON_NO_SOCKET", &["NO_SOCKET"], None)]
#[case("skb_drop_reason_skb_csum", &["SKB_CSUM"], None)]
#[case("SKB_CSUM", &["SKB_CSUM"], None)]
#[case("SKB_CONSUMED", &["CONSUMED"], None)]
#[case("ip_forward+0x4bc", &["ip_forward"], None)]
#[case("ip_rcv_finish_core.constprop.0", &["ip_rcv_finish_core"], None)]
#[case("tail_drop", &["tail_drop"], None)]
#[case("3", &["NO_SOCKET"], Some("NO_SOCKET"))]
#[case("0x30005", &["QDISC_DROP_FLOOD_PROTECTION"], Some("QDISC_DROP_FLOOD_PROTECTION"))]
#[case("0xffffffff81c31234", &["ip_forward"], Some("ip_forward+0x4bc"))]
#[case("ffffffff81c31234", &["ip_forward"], Some("ip_forward+0x4bc"))]
fn questions_are_understood(#[case] asked: &str, #[case] names: &[&str], #[case] meant: Option<&str>) {
    let answer = ask(asked, &mut Made).unwrap();
    assert_eq!(answer.entries.iter().map(|entry| entry.name()).collect::<Vec<_>>(), names);
    assert_eq!((answer.asked.as_str(), answer.meant.as_deref()), (asked, meant));
}

#[rstest]
#[case("NO_SOKET", "nothing is known about `NO_SOKET`; did you mean `NO_SOCKET`?")]
#[case(
    "TCP_ABORT_ON_CLOS",
    "nothing is known about `TCP_ABORT_ON_CLOS`; did you mean `TCP_ABORT_ON_DATA` or `TCP_ABORT_ON_CLOSE`?"
)]
#[case(
    "SK_RST_REASON_TCP_STAT",
    "nothing is known about `SK_RST_REASON_TCP_STAT`; did you mean `TCP_STATE`?"
)]
#[case(
    "SK_RST_REASON_XDP",
    "nothing is known about `SK_RST_REASON_XDP` (`netdrop explain --list` shows all names)"
)]
#[case("ip_forwrd", "nothing is known about `ip_forwrd`; did you mean `ip_forward`?")]
#[case("tail_dropp", "nothing is known about `tail_dropp`; did you mean `tail_drop`?")]
#[case("", "nothing is known about `` (`netdrop explain --list` shows all names)")]
#[case("qqqqqqqq", "nothing is known about `qqqqqqqq` (`netdrop explain --list` shows all names)")]
#[case("99", "nothing is known about `A_REASON_OF_TOMORROW` (`netdrop explain --list` shows all names)")]
#[case(
    "98",
    "this kernel has no name for drop reason 98 (`netdrop check --reasons` lists those that it has)"
)]
#[case(
    "0xffffffff81000000",
    "no function of this kernel is at 0xffffffff81000000: an address is good until the next boot only"
)]
#[case(
    "0xffffffff8100ffff",
    "0xffffffff8100ffff can't be looked up: the kernel hides its addresses (kernel.kptr_restrict): functions stay unnamed; run as root or with CAP_SYSLOG, or set kernel.kptr_restrict to 1"
)]
fn what_has_no_answer_is_told_why(#[case] asked: &str, #[case] message: &str) {
    assert_eq!(ask(asked, &mut Made).unwrap_err().to_string(), message);
}

proptest! {
    #[test]
    fn any_question_is_safe(text in any::<String>()) {
        let _ = ask(&text, &mut Made);
        let _ = class_of(Some(&text), Some(&text));
    }
}
