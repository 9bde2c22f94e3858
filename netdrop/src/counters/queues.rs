//! How a device's queues go to CPUs: `/sys/class/net/IF/queues`, its interrupts in `/sys/class/net/IF/device/msi_irqs`, and
//! `/proc/irq/N/smp_affinity_list` (Documentation/networking/scaling.rst, Documentation/ABI/testing/sysfs-class-net-queues).

use std::fs;
use std::path::Path;

use super::cpu_set::CpuSet;

/// A device's queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queues {
    /// The device.
    pub device: String,
    /// Receive queues, by number.
    pub receive: Vec<ReceiveQueue>,
    /// Transmit queues, by number: the CPUs that send by each (XPS). Empty where none is set, or the device has one queue.
    pub transmit: Vec<CpuSet>,
    /// Its interrupts, each with the CPUs that may handle it.
    pub interrupts: Vec<(u32, CpuSet)>,
}

/// A receive queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiveQueue {
    /// The CPUs that its packets are handed to (RPS); none where it's off.
    pub cpus: CpuSet,
    /// Flows that are followed to their readers (RFS); 0 where it's off.
    pub flows: u32,
}

/// A device's queues below these `/sys` and `/proc`; what isn't there is left out.
pub fn read(sys: &Path, proc: &Path, device: &str) -> Queues {
    let folder = sys.join("class/net").join(device);
    let text = |path: &str| fs::read_to_string(folder.join("queues").join(path)).ok();
    let mask = |path: String| text(&path).and_then(|text| CpuSet::of_mask(&text));
    let receive = (0..).map_while(|queue| {
        let cpus = mask(format!("rx-{queue}/rps_cpus"))?;
        let flows = text(&format!("rx-{queue}/rps_flow_cnt")).and_then(|text| text.trim().parse().ok());
        Some(ReceiveQueue { cpus, flows: flows.unwrap_or(0) })
    });
    let transmit = (0..).map_while(|queue| mask(format!("tx-{queue}/xps_cpus")));
    Queues {
        device: device.to_owned(),
        receive: receive.collect(),
        transmit: transmit.collect(),
        interrupts: interrupts(&folder, proc),
    }
}

/// Those of the device, or of the bus device that it sits on: virtio has them one above.
fn interrupts(folder: &Path, proc: &Path) -> Vec<(u32, CpuSet)> {
    // Not by the path's text: the kernel follows the link, then goes one up.
    let places = ["device/msi_irqs", "device/../msi_irqs"];
    let found = places.iter().find_map(|path| fs::read_dir(folder.join(path)).ok());
    let numbers =
        found.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    let cpus = |number: u32| {
        let text =
            fs::read_to_string(proc.join(format!("irq/{number}/smp_affinity_list"))).unwrap_or_default();
        CpuSet::of_list(&text).unwrap_or_default()
    };
    numbers.into_iter().map(|number| (number, cpus(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_its_queues_and_interrupts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::made_up::file(root.path(), path, text);
        put("sys/class/net/eth0/queues/rx-0/rps_cpus", "00000000,00000003\n");
        put("sys/class/net/eth0/queues/rx-0/rps_flow_cnt", "4096\n");
        put("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n");
        put("sys/class/net/eth0/queues/tx-0/xps_cpus", "2\n");
        put("sys/bus/pci0/virtio0/net", "");
        put("sys/bus/pci0/msi_irqs/31", "");
        put("sys/bus/pci0/msi_irqs/30", "");
        put("proc/irq/31/smp_affinity_list", "0-1\n");
        std::os::unix::fs::symlink(
            root.path().join("sys/bus/pci0/virtio0"),
            root.path().join("sys/class/net/eth0/device"),
        )
        .unwrap();
        let queues = read(&root.path().join("sys"), &root.path().join("proc"), "eth0");
        let expected = Queues {
            device: "eth0".into(),
            receive: vec![ReceiveQueue { cpus: CpuSet(vec![0, 1]), flows: 4096 }, ReceiveQueue::default()],
            transmit: vec![CpuSet(vec![1])],
            interrupts: vec![(30, CpuSet::default()), (31, CpuSet(vec![0, 1]))],
        };
        assert_eq!(queues, expected);
        let nothing = read(root.path(), root.path(), "eth1");
        assert_eq!(nothing, Queues { device: "eth1".into(), ..Queues::default() });
    }
}
