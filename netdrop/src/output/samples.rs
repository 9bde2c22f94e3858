//! Drops and summaries that the formats' tests share.

use std::sync::Arc;
use std::time::Duration;

use crate::knowledge::Class;
use crate::model::{
    Accounts, Attribution, BpfProgram, Certainty, Container, Context, CounterSource, Counts, Device,
    DeviceCount, Direction, Drop, Endpoint, Family, Framework, Gso, Header, Holding, Hook, Netns, Owner,
    Packet, Pod, Process, Protocol, Queues, Reason, Row, RuleHit, RuleSystem, RuleVerdict, Runtime, Site,
    Socket, SocketKind, Source, Summary, TableFamily, TcpFlags, Timestamp, Trap, Verdict, VerdictCount, Vlan,
    Whose, Workload,
};

pub const TIME: Timestamp = Timestamp(1_795_308_225_123_456_789);
pub const TCP: Protocol = Protocol { ethertype: 0x0800, ip: Some(6) };
pub const UDP: Protocol = Protocol { ethertype: 0x0800, ip: Some(17) };

pub fn site(function: &str, offset: u64) -> Arc<Site> {
    Arc::new(Site {
        address: 0xffff_ffff_8204_6f4c,
        function: Some(function.into()),
        offset,
        module: None,
        source: None,
        trap: None,
    })
}

fn source() -> Source {
    Source { line: "net/ipv6/tcp_ipv6.c:1180".into(), inlined: vec!["tcp_v6_conn_request".into()] }
}

pub fn reason(name: &str, class: Class) -> Arc<Reason> {
    Arc::new(Reason { number: 3, name: name.into(), class, subsystem: "core".into() })
}

pub fn device(index: u32, name: &str) -> Arc<Device> {
    Arc::new(Device { index, name: Some(name.into()) })
}

pub fn netns(inode: u32, name: &str) -> Arc<Netns> {
    Arc::new(Netns { inode, name: Some(name.into()), ..Netns::default() })
}

/// A namespace without a name of its own, a container's.
pub fn inhabited() -> Arc<Netns> {
    Arc::new(Netns { inode: 7, name: Some("pid:4242".into()), workload: Arc::new(in_container()) })
}

fn in_container() -> Workload {
    let container =
        Container { runtime: Runtime::Podman, id: "3f2a1b9c8d7e6f5a".into(), name: Some("web".into()) };
    Workload { container: Some(container), pod: Some(Pod { uid: "7".into(), name: None }), unit: None }
}

/// Estimated rows by owner and container, and the row of all others.
pub fn owners() -> Summary {
    let row = |packets| Row {
        counts: counts(packets, packets * 60),
        total: counts(packets, packets * 60),
        estimated: true,
        ..Row::default()
    };
    let rows = vec![
        Row { owner: owner().first(), workload: Some(Arc::new(in_container())), ..row(12) },
        Row { other: true, ..row(3) },
    ];
    Summary { rows, ..summary() }
}

pub fn endpoint(text: &str) -> Endpoint {
    match text.parse::<std::net::SocketAddr>() {
        Ok(both) => Endpoint { address: both.ip(), port: Some(both.port()) },
        Err(_) => Endpoint { address: text.parse().unwrap(), port: None },
    }
}

/// The names that a drop borrows.
pub struct Parts {
    pub site: Arc<Site>,
    pub reason: Option<Arc<Reason>>,
    pub device: Option<Arc<Device>>,
    pub netns: Option<Arc<Netns>>,
    pub packet: Packet,
}

impl Parts {
    pub fn drop(&self, weight: u64) -> Drop<'_> {
        Drop {
            time: TIME,
            weight,
            site: &self.site,
            reason: self.reason.as_deref(),
            cpu: 1,
            device: self.device.as_deref(),
            netns: self.netns.as_deref(),
            packet: &self.packet,
            header: Header::default(),
            context: Context::default(),
        }
    }
}

/// The drop of DESIGN.md: UDP to a closed loopback port.
pub fn udp() -> Parts {
    Parts {
        site: site("__udp4_lib_rcv", 1212),
        reason: Some(reason("NO_SOCKET", Class::NoReceiver)),
        device: Some(device(1, "lo")),
        netns: Some(netns(4_026_531_840, "host")),
        packet: Packet {
            length: 29,
            family: Some(Family::Ipv4),
            protocol: UDP,
            source: Some(endpoint("127.0.0.1:48777")),
            destination: Some(endpoint("127.0.0.1:9")),
            ttl: Some(64),
            ..Packet::default()
        },
    }
}

/// Everything that a packet can carry.
pub fn full() -> Parts {
    let mut parts = udp();
    parts.site = Arc::new(Site {
        module: Some("ipv6".into()),
        source: Some(source()),
        ..(*site("tcp_conn_request", 418)).clone()
    });
    parts.reason = Some(reason("TCP_LISTEN_OVERFLOW", Class::Congestion));
    parts.device = Some(device(2, "eth0.7"));
    parts.netns = Some(netns(4_026_532_001, "web"));
    parts.packet = Packet {
        length: 2960,
        family: Some(Family::Ipv6),
        protocol: Protocol { ethertype: 0x86dd, ip: Some(6) },
        source: Some(endpoint("[2001:db8::1]:4242")),
        destination: Some(endpoint("[2001:db8::2]:80")),
        ttl: Some(63),
        fragment_offset: Some(1480),
        tcp_flags: Some(TcpFlags(0x12)),
        tcp_sequence: Some(u32::MAX),
        icmp: Some((3, 4)),
        arp_operation: Some(1),
        vlans: [Some(Vlan { id: 7, priority: 0 }), Some(Vlan { id: 4095, priority: 7 })],
        source_mac: Some([2, 0, 0, 0, 0, 1]),
        destination_mac: Some([0xff; 6]),
        gso: Some(Gso { size: 1440, segments: 2 }),
    };
    parts
}

/// What a switch dropped.
pub fn trapped() -> Parts {
    let trap = Trap {
        name: "blackhole_route".into(),
        group: "l3_drops".into(),
        driver: "mlxsw_spectrum2".into(),
        device: "pci/0000:01:00.0".into(),
    };
    Parts {
        site: Arc::new(Site { address: 0x1234_5678, trap: Some(trap), ..Site::default() }),
        reason: None,
        device: Some(device(7, "swp7")),
        ..udp()
    }
}

/// What a 5.10 kernel says of a packet without headers.
pub fn bare() -> Parts {
    Parts {
        site: Arc::new(Site { address: 0xffff_ffff_8193_bb1c, ..Site::default() }),
        reason: None,
        device: None,
        netns: None,
        packet: Packet { length: 60, ..Packet::default() },
    }
}

pub fn counts(packets: u64, bytes: u64) -> Counts {
    Counts { packets, bytes }
}

/// An interval of one second after twelve, in which a flood, a full listen queue and a firewall dropped.
pub fn summary() -> Summary {
    let host = Some(netns(4_026_531_840, "host"));
    let rows = vec![
        Row {
            counts: counts(489_412, 14_192_948),
            total: counts(4_894_120, 141_929_480),
            site: Some(site("__udp4_lib_rcv", 1212)),
            reason: Some(reason("NO_SOCKET", Class::NoReceiver)),
            class: Some(Class::NoReceiver),
            device: Some(device(1, "lo")),
            netns: host.clone(),
            protocol: Some(UDP),
            example: Some((endpoint("127.0.0.1:48777"), endpoint("127.0.0.1:9"))),
            ..Row::default()
        },
        Row {
            counts: counts(12, 720),
            total: counts(340, 20_400),
            site: Some(site("tcp_conn_request", 418)),
            reason: Some(reason("TCP_LISTEN_OVERFLOW", Class::Congestion)),
            class: Some(Class::Congestion),
            device: Some(device(2, "eth0")),
            netns: Some(netns(4_026_532_001, "web")),
            protocol: Some(TCP),
            example: Some((endpoint("[2001:db8::1]:4242"), endpoint("[2001:db8::2]:80"))),
            ..Row::default()
        },
        Row {
            counts: counts(0, 0),
            total: counts(1, 84),
            site: Some(site("nft_do_chain_inet_with_a_long_name", 31)),
            reason: Some(reason("NETFILTER_DROP", Class::Policy)),
            class: Some(Class::Policy),
            device: Some(device(3, "vethf00dcafe")),
            netns: host,
            protocol: Some(Protocol { ethertype: 0x0800, ip: Some(1) }),
            ..Row::default()
        },
    ];
    let accounts = Accounts {
        seen: 489_424,
        detailed: 1_012,
        sampled_out: 488_000,
        ring_full: 412,
        ..Accounts::default()
    };
    let total = Accounts {
        seen: 4_894_461,
        detailed: 12_012,
        sampled_out: 4_882_037,
        ring_full: 412,
        filtered: 0,
        table_full: 0,
        recursion_misses: 3,
        stackless: 0,
    };
    let interval = Duration::from_secs(1);
    Summary {
        time: TIME,
        interval,
        elapsed: Duration::from_secs(12),
        rows,
        accounts,
        total,
        attribution: Attribution::default(),
        tcp: None,
        findings: Arc::default(),
    }
}

/// The end of the same run.
pub fn end() -> Summary {
    let mut end = summary();
    for row in &mut end.rows {
        row.counts = row.total;
    }
    Summary { interval: end.elapsed, accounts: end.total, ..end }
}

/// The same interval with two kinds of lifecycle drops beside the loss, one of them the most of all.
pub fn with_noise() -> Summary {
    let noise = |name: &str, function: &str, address, packets| Row {
        counts: counts(packets, packets * 60),
        total: counts(packets * 2, packets * 120),
        site: Some(Arc::new(Site { address, ..(*site(function, 9)).clone() })),
        reason: Some(reason(name, Class::Lifecycle)),
        class: Some(Class::Lifecycle),
        ..Row::default()
    };
    let mut summary = summary();
    summary.rows.insert(0, noise("TCP_OLD_DATA", "tcp_data_queue", 1, 600_000));
    summary.rows.push(noise("QUEUE_PURGE", "skb_queue_purge_reason", 2, 7));
    summary
}

/// The text of what `write` appends.
pub fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

/// Estimated rows by flow, and the row of all others.
pub fn flows() -> Summary {
    let row = |packets| Row {
        counts: counts(packets, packets * 60),
        total: counts(packets * 2, packets * 120),
        estimated: true,
        ..Row::default()
    };
    let rows = vec![
        Row {
            source: Some(endpoint("10.0.0.1:4242")),
            destination: Some(endpoint("10.0.0.2:80")),
            ..row(700)
        },
        Row { source: Some(endpoint("2001:db8::1")), port: Some(53), ..row(20) },
        Row { other: true, ..row(3) },
    ];
    Summary { rows, ..summary() }
}

/// A rule that counted, one that couldn't, a program, and devices.
pub fn attribution() -> Attribution {
    let of_nft = RuleHit {
        system: RuleSystem::Nft,
        netns: Some((*netns(4_026_532_001, "web")).clone()),
        family: Some("inet".into()),
        table: Some("fw".into()),
        chain: Some("input".into()),
        hook: Some("input".into()),
        handle: Some(8),
        position: Some(4),
        device: None,
        direction: None,
        program: None,
        text: "udp dport 9 counter drop".into(),
        verdict: RuleVerdict::Drop,
        packets: Some(12_345),
        bytes: Some(358_005),
        drops: 12_350,
        certainty: Certainty::Part,
    };
    let of_web = of_nft.netns.clone();
    let policy = RuleHit {
        verdict: RuleVerdict::Policy,
        handle: None,
        position: None,
        text: "policy drop".into(),
        packets: None,
        bytes: None,
        certainty: Certainty::Only,
        ..of_nft.clone()
    };
    let candidate =
        RuleHit { certainty: Certainty::Candidate, packets: Some(7), bytes: Some(203), ..of_nft.clone() };
    let program = BpfProgram { id: 42, name: Some("fw".into()) };
    let of_tc = RuleHit {
        system: RuleSystem::Tc,
        netns: Some((*netns(4_026_531_840, "host")).clone()),
        family: None,
        table: None,
        chain: Some("0".into()),
        hook: None,
        handle: Some(1),
        position: None,
        device: Some((*device(2, "eth0")).clone()),
        direction: Some(Direction::Ingress),
        program: Some(program.clone()),
        text: "filter bpf pref 49152 fw.o:[tc] direct-action".into(),
        verdict: RuleVerdict::Program,
        packets: None,
        bytes: None,
        drops: 3,
        certainty: Certainty::Only,
    };
    let ring = DeviceCount {
        device: (*device(2, "eth0")).clone(),
        netns: Some((*netns(4_026_531_840, "host")).clone()),
        counter: "rx_missed_errors".into(),
        source: CounterSource::Link,
        count: 81,
        meaning: "the device had no room: its ring was full before the CPU emptied it".into(),
        also_seen: None,
        program: None,
    };
    let xdp = DeviceCount {
        netns: Some((*netns(4_026_532_001, "web")).clone()),
        counter: "rx_queue_*_xdp_drops".into(),
        source: CounterSource::Driver,
        count: 1_000,
        meaning: "dropped by the XDP program, in the driver".into(),
        also_seen: Some(400),
        program: Some(program),
        ..ring.clone()
    };
    Attribution {
        rules: vec![of_nft, policy, of_tc, candidate],
        verdicts: vec![
            VerdictCount { netns: of_web, verdict: verdict(), packets: 12_350, estimated: false },
            VerdictCount {
                netns: Some((*netns(4_026_531_840, "host")).clone()),
                verdict: Verdict { hook: Some(Hook::Forward), ..Verdict::default() },
                packets: 20,
                estimated: true,
            },
            VerdictCount { netns: None, verdict: Verdict::default(), packets: 3, estimated: false },
        ],
        devices: vec![ring, xdp],
        notes: vec!["`nft` is not installed: install nftables to have its rules named.".into()],
    }
}

/// A UDP server's that doesn't read.
pub fn socket() -> Socket {
    Socket {
        whose: Whose::Receiver,
        kind: SocketKind::Full,
        family: 2,
        protocol: 17,
        state: 7,
        local: Some(Endpoint { address: [127, 0, 0, 1].into(), port: Some(9000) }),
        remote: None,
        queues: Some(Queues {
            receive: 3840,
            receive_limit: 4608,
            send: 0,
            send_limit: 212_992,
            backlog: 0,
            accept: None,
            drops: 5,
        }),
        inode: Some(81231),
        cookie: None,
        cgroup: Some(77),
    }
}

/// Two workers that hold it, and one more.
pub fn owner() -> Owner {
    let process = |pid| Process { pid, command: "nginx".into(), holding: Holding::Open };
    Owner { processes: vec![process(4242), process(4243)], more: 1, ..Owner::default() }
}

/// Of an `inet` table.
pub fn verdict() -> Verdict {
    Verdict {
        framework: Some(Framework::Nftables),
        family: Some(TableFamily::Inet),
        hook: Some(Hook::Input),
        table: None,
    }
}
