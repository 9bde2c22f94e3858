//! The class of every drop reason that the kernels name.

use super::Class;

/// `REASON<tab>class`, sorted by reason.
const TABLE: &str = include_str!("classes.tsv");

/// The class of a reason by its name without `SKB_DROP_REASON_`; [`Class::Unknown`] for one not in the table.
///
/// Looks through a table of a few hundred lines: ask once a reason, not once a drop.
pub fn class_of(reason: &str) -> Class {
    entries().find(|(name, _)| *name == reason).map_or(Class::Unknown, |(_, class)| class)
}

fn entries() -> impl Iterator<Item = (&'static str, Class)> {
    TABLE.lines().filter_map(|line| {
        let (name, class) = line.split_once('\t')?;
        Some((name, class.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;
    use crate::kernel::btf::Btf;
    use crate::kernel::fixtures;
    use crate::kernel::reasons::Reasons;

    #[test]
    fn every_line_is_an_entry_in_order() {
        let names: Vec<_> = entries().map(|(name, _)| name).collect();
        assert_eq!(names.len(), TABLE.lines().count());
        let sorted: BTreeSet<_> = names.iter().copied().collect();
        assert!(sorted.into_iter().eq(names), "sorted, and each once");
    }

    /// No kernel that netdrop is tested on may have a reason without a class.
    #[test]
    fn every_reason_of_every_kernel_has_a_class() {
        let table: BTreeSet<_> = entries().map(|(name, _)| name).collect();
        for kernel in fixtures::KERNELS {
            let bytes = fixtures::btf(kernel);
            let btf = Btf::parse(&bytes).unwrap();
            let Some(mut reasons) = Reasons::from_btf(&btf) else { continue };
            if fixtures::has(&format!("{kernel}-openvswitch")) {
                let module = fixtures::btf(&format!("{kernel}-openvswitch"));
                assert!(reasons.add_enums(&Btf::parse_split(&module, &btf).unwrap()) > 0);
            }
            let lacking: Vec<_> = reasons.iter().filter(|(_, name)| !table.contains(&***name)).collect();
            assert!(lacking.is_empty(), "{kernel}: {lacking:?}");
        }
    }

    #[rstest]
    #[case("NETFILTER_DROP", Class::Policy)]
    #[case("TCP_LISTEN_OVERFLOW", Class::Congestion)]
    #[case("NO_SOCKET", Class::NoReceiver)]
    #[case("UDP_CSUM", Class::Malformed)]
    #[case("NEIGH_FAILED", Class::Routing)]
    #[case("QUEUE_PURGE", Class::Lifecycle)]
    #[case("NOT_SPECIFIED", Class::Unknown)]
    #[case("A_REASON_OF_TOMORROW", Class::Unknown)]
    fn a_reason_has_its_class(#[case] reason: &str, #[case] class: Class) {
        assert_eq!(class_of(reason), class);
    }

    #[test]
    fn classes_are_written_as_they_are_read() {
        for class in Class::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        insta::assert_snapshot!("loss".parse::<Class>().unwrap_err(), @"there is no class `loss`; the classes are policy, congestion, no-receiver, malformed, routing, lifecycle, unknown");
    }
}
