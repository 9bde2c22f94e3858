//! The rules, filled in one after another.

use netdrop_common::{
    AddressRule, DeviceRule, Filter, FunctionRule, MAX_RULES, NetnsRule, PortRule, ProtocolRule, Rule, group,
};

use super::FilterError;
use super::owners::Targets;
use super::reason::Resolved;

/// A filter under way.
#[derive(Debug)]
pub struct Rules(Box<Filter>);

impl Default for Rules {
    fn default() -> Self {
        Self(Box::new(Filter::NONE))
    }
}

/// `IFNAMSIZ` less the closing zero.
const DEVICE_NAME_MAX: usize = 15;

impl Rules {
    pub fn use_reasons(&mut self, resolved: &Resolved) {
        // Also where none is there: a class of no reason lets nothing pass.
        self.0.reasons = u32::from(!resolved.reasons.is_empty() || resolved.required);
        self.0.sites = u32::from(!resolved.sites.is_empty());
        if resolved.required {
            self.0.required |= group::REASON;
        }
    }

    pub fn use_owners(&mut self, targets: &Targets) {
        self.0.owners = targets.kinds();
        self.0.required |= targets.required();
    }

    pub fn function(&mut self, matches: FunctionRule, group: u32) -> Result<(), FilterError> {
        let rule = Rule { matches, group, side: 0 };
        push(&mut self.0.function, &mut self.0.functions, &mut self.0.required, rule, "--function")
    }

    /// A rule by name, and one for each place where a device of that name is now: packets on a socket's queue no longer
    /// point to their device, but keep its index.
    pub fn device(&mut self, name: &str, places: &[(u32, u32)], group: u32) -> Result<(), FilterError> {
        if name.is_empty() || name.len() > DEVICE_NAME_MAX {
            return Err(FilterError::DeviceName(name.into()));
        }
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        let (low, high) = bytes.split_at(8);
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("half of 16 bytes are 8"));
        let by_name = DeviceRule { name: [word(low), word(high)], ifindex: 0, netns: 0 };
        let by_index = places.iter().map(|(netns, ifindex)| DeviceRule {
            name: [0; 2],
            ifindex: *ifindex,
            netns: *netns,
        });
        for matches in std::iter::once(by_name).chain(by_index) {
            let rule = Rule { matches, group, side: 0 };
            push(&mut self.0.device, &mut self.0.devices, &mut self.0.required, rule, "--device")?;
        }
        Ok(())
    }

    pub fn netns(&mut self, matches: NetnsRule, group: u32) -> Result<(), FilterError> {
        let rule = Rule { matches, group, side: 0 };
        push(&mut self.0.netns, &mut self.0.namespaces, &mut self.0.required, rule, "--netns")
    }

    pub fn protocol(&mut self, matches: ProtocolRule, group: u32) -> Result<(), FilterError> {
        let rule = Rule { matches, group, side: 0 };
        push(&mut self.0.protocol, &mut self.0.protocols, &mut self.0.required, rule, "--proto")
    }

    pub fn address(&mut self, matches: AddressRule, group: u32, side: u32) -> Result<(), FilterError> {
        let rule = Rule { matches, group, side };
        push(
            &mut self.0.address,
            &mut self.0.addresses,
            &mut self.0.required,
            rule,
            "--host, --src and --dst",
        )
    }

    pub fn port(&mut self, matches: PortRule, group: u32, side: u32) -> Result<(), FilterError> {
        let rule = Rule { matches, group, side };
        push(&mut self.0.port, &mut self.0.ports, &mut self.0.required, rule, "--port, --sport and --dport")
    }

    pub fn finish(self) -> Box<Filter> {
        self.0
    }
}

fn push<T>(
    rules: &mut [Rule<T>; MAX_RULES],
    count: &mut u32,
    required: &mut u32,
    rule: Rule<T>,
    kind: &'static str,
) -> Result<(), FilterError> {
    let slot = rules.get_mut(*count as usize).ok_or(FilterError::TooMany { kind })?;
    *required |= rule.group;
    *slot = rule;
    *count += 1;
    Ok(())
}
