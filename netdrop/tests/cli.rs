//! Help, errors and generated files as people get them from the command itself. Nothing here needs privileges.

use std::fs;
use std::process::{Command, Output};

use insta::assert_snapshot;

fn netdrop(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netdrop"));
    command.args(arguments.split_whitespace()).env_remove("NO_COLOR").env("COLUMNS", "100");
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("netdrop starts")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("netdrop writes UTF-8")
}

/// Standard output of a command that must succeed and have nothing to complain of.
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = output(command);
    assert!(status.success(), "{status}");
    assert_eq!(text(stderr), "");
    text(stdout)
}

/// What a wrong use is answered with.
fn refused(arguments: &str) -> String {
    let Output { status, stdout, stderr } = output(&mut netdrop(arguments));
    assert_eq!(status.code(), Some(2), "exit code of `netdrop {arguments}`");
    assert_eq!(text(stdout), "");
    text(stderr)
}

#[test]
fn help_fits_80_and_100_columns() {
    let commands =
        ["", "watch", "top", "run", "report", "serve", "doctor", "check", "explain", "completions", "man"];
    let tcp = ["tcp", "tcp retransmits", "tcp resets", "tcp life", "tcp rtt", "tcp states"];
    for command in commands.into_iter().chain(tcp) {
        for columns in ["80", "100"] {
            let help = printed(netdrop(command).arg("--help").env("COLUMNS", columns));
            let width = columns.parse().unwrap();
            assert!(help.lines().all(|line| line.chars().count() <= width), "{help}");
            let name = if command.is_empty() { "netdrop".into() } else { command.replace(' ', "_") };
            assert_snapshot!(format!("help_{name}_{columns}"), help);
        }
    }
}

#[test]
fn the_short_flag_says_the_same() {
    assert_eq!(printed(&mut netdrop("watch -h")), printed(&mut netdrop("watch --help")));
}

#[test]
fn the_long_help_has_every_filter_and_its_negation() {
    let help = printed(&mut netdrop("help watch"));
    let filters = "reason class function device netns proto host src dst port sport dport container owner";
    let filters = filters.split_whitespace();
    for filter in filters {
        for flag in [format!("  --{filter} <"), format!("  --not-{filter} <")] {
            let (_, after) = help.split_once(&flag).unwrap_or_else(|| panic!("no {flag} in {help}"));
            let said = after.lines().nth(1).unwrap_or_default();
            assert!(!said.trim().is_empty(), "{flag} is not explained");
        }
    }
}

#[test]
fn errors_name_the_thing_the_cause_and_the_next_step() {
    let cases = [
        "",
        "wach",
        "watch --formt json",
        "watch --format jsn",
        "watch --by site,resaon",
        "watch --duration 5",
        "watch --interval 0s",
        "watch --count 0",
        "watch --rate 0 --count 1",
        "watch --rate 0 --by flow",
        "watch --no-socket --by reason,owner",
        "watch --rate 5 --all",
        "watch --format table --output drops.txt",
        "watch --rotate 1M",
        "watch --output drops.txt --rotate 1X",
        "watch --keep 3",
        "watch --pcap-rotate 5m",
        "watch --pcap drops.pcapng --pcap-rotate soon",
        "watch --pcap drops.pcapng --rate 0",
        "watch --pcap drops --output drops",
        "watch --ring-size 1000",
        "watch --ring-size 4G",
        "watch --snaplen 1000",
        "report",
        "report --since yesterday drops.jsonl",
        "report --format html --by site drops.jsonl",
        "report --format html before.jsonl after.jsonl",
        "report monday.jsonl tuesday.jsonl wednesday.jsonl",
        "check --format yaml",
        "explain",
        "explain NO_SOKET ip_forwrd",
        "explain --list --class loss",
        "explain --class policy NO_SOCKET",
        "completions tcsh",
    ];
    let told: Vec<_> =
        cases.into_iter().map(|case| format!("$ netdrop {case}\n{}", refused(case).trim_end())).collect();
    assert_snapshot!("errors", told.join("\n\n"));
}

/// A run of two drops: UDP to a closed port, and one that nothing is known of.
const RECORDING: &str = r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"reason":"NO_SOCKET","class":"no-receiver","subsystem":"core","function":"__udp4_lib_rcv","offset":1212,"address":"0xffffffff82046f4c","cpu":1,"device":{"index":1,"name":"lo"},"netns":{"inode":4026531840,"name":"host"},"packet":{"length":29,"family":"ipv4","protocol":"udp","source":{"address":"127.0.0.1","port":48777},"destination":{"address":"127.0.0.1","port":9},"ttl":64}}
{"v":1,"kind":"summary","time":"2026-11-22T00:43:46.000000000Z","interval_ms":1000,"rows":[{"count":1,"bytes":29,"reason":"NO_SOCKET","class":"no-receiver","subsystem":"core","function":"__udp4_lib_rcv","offset":1212,"address":"0xffffffff82046f4c","device":{"index":1,"name":"lo"},"netns":{"inode":4026531840,"name":"host"},"protocol":"udp"},{"count":1,"bytes":60,"reason":"NOT_SPECIFIED","class":"unknown","subsystem":"core","address":"0xffffffff82046f50"}],"accounts":{"seen":2,"detailed":1,"sampled_out":1,"ring_full":0,"filtered":0,"table_full":0,"recursion_misses":0}}
"#;

/// Writes `recording` into a file in the folder that a report runs in, and gives that report.
fn reported(recording: &str, arguments: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder for files");
    fs::write(folder.path().join("drops.jsonl"), recording).expect("the file is written");
    let command = &mut netdrop(&format!("report {arguments} drops.jsonl"));
    let Output { status, stdout, stderr } = output(command.current_dir(folder.path()).env("TZ", "UTC"));
    format!("{}{}{status}", text(stdout), text(stderr))
}

#[test]
fn a_report_is_any_table_of_a_recording() {
    let tables = [
        "",
        "--by function",
        "--by flow",
        "--by reason --format text",
        "--by dst,port --format json",
        "--by reason,proto --format csv",
        "--format folded",
        "--format histogram",
    ];
    let told: Vec<_> = tables
        .into_iter()
        .map(|arguments| format!("$ netdrop report {arguments}\n{}", reported(RECORDING, arguments)))
        .collect();
    assert_snapshot!("reports", told.join("\n\n").replace('\r', ""));
}

#[test]
fn two_recordings_are_compared_and_their_parts_are_not() {
    let folder = tempfile::tempdir().expect("a folder for files");
    let more = RECORDING.replace(r#""count":1"#, r#""count":9"#).replace(r#""seen":2,"#, r#""seen":18,"#);
    for (name, recording) in [("a", RECORDING), ("b", &more), ("b.1", RECORDING)] {
        fs::write(folder.path().join(name), recording).expect("the file is written");
    }
    let told = |arguments: &str| {
        let command = &mut netdrop(&format!("report {arguments}"));
        let Output { status, stdout, stderr } = output(command.current_dir(folder.path()).env("TZ", "UTC"));
        format!("$ netdrop report {arguments}\n{}{}{status}", text(stdout).replace('\r', ""), text(stderr))
    };
    let cases = [
        "a b",
        "--format text --by reason b a",
        "--format csv a b",
        "b b.1",
        "--sum a b",
        "--format json a b",
    ];
    assert_snapshot!("comparisons", cases.map(told).join("\n\n"));
}

#[test]
fn a_damaged_recording_is_told_where() {
    let cut = &RECORDING[..RECORDING.len() - 100];
    let garbage = format!("{RECORDING}hello\n");
    let newer = RECORDING.replace(r#""v":1"#, r#""v":2"#);
    let told: Vec<_> =
        [cut, &garbage, &newer, ""].into_iter().map(|recording| reported(recording, "")).collect();
    assert_snapshot!("damaged_recordings", told.join("\n\n"));
    let Output { status, stderr, .. } = output(&mut netdrop("report no-such-file"));
    assert_eq!(status.code(), Some(1));
    assert_eq!(text(stderr), "netdrop: cannot read no-such-file: No such file or directory (os error 2)\n");
}

#[test]
fn the_schema_is_the_one_in_the_repository() {
    let schema = printed(&mut netdrop("watch --schema"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/netdrop-1.schema.json");
    assert_eq!(schema, fs::read_to_string(path).unwrap());
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
}

#[test]
fn every_shell_completes_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(netdrop("completions").arg(shell));
        for word in ["watch", "run", "completions", "duration", "not-reason"] {
            assert!(script.contains(word), "{shell} doesn't know {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    assert_eq!(printed(netdrop("man").arg(&pages)), "");
    let commands = ["watch", "run", "report", "check", "explain", "completions", "man"]
        .map(|name| format!("netdrop-{name}"));
    for command in ["netdrop".to_owned()].into_iter().chain(commands) {
        let page = fs::read_to_string(pages.join(format!("{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
    }
    let watch = fs::read_to_string(pages.join("netdrop-watch.1")).unwrap();
    assert!(watch.contains("not\\-reason"), "{watch}");
}

#[test]
fn explain_tells_of_each_name_in_turn() {
    let told = printed(&mut netdrop("explain no_socket SKB_DROP_REASON_XDP ip_forward+0x4bc"));
    let titles: Vec<_> =
        told.lines().filter(|line| line.ends_with(" reason)") || line.ends_with("(function)")).collect();
    assert_eq!(
        titles,
        [
            "NO_SOCKET: no-receiver (drop reason)",
            "NO_SOCKET (reset reason)",
            "XDP: policy (drop reason)",
            "ip_forward: routing (function)"
        ]
    );
    let lines = printed(&mut netdrop("explain no_socket ip_forward --format json"));
    let names: Vec<_> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned()
        })
        .collect();
    // A drop reason and a reset's.
    assert_eq!(names, ["NO_SOCKET", "NO_SOCKET", "ip_forward"]);
}

#[test]
fn explain_lists_the_classes_that_are_asked_for() {
    let all = printed(&mut netdrop("explain --list")).lines().count();
    let some = printed(&mut netdrop("explain --list --class congestion,routing"));
    assert!(some.lines().count() > 40 && some.lines().count() < all);
    assert!(some.lines().all(|line| line.contains(" congestion ") || line.contains(" routing ")), "{some}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for arguments in ["watch --schema", "watch --help", "explain --list", "completions bash"] {
        let status = netdrop(arguments).stdout(writer.try_clone().unwrap()).status().unwrap();
        assert!(status.success(), "{arguments}: {status}");
    }
}
