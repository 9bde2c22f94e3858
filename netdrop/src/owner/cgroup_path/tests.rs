use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// In the paths below, `ID` stands for a container's id and `UID` for a pod's.
const ID: &str = "3f2a1b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a";
const UID: &str = "1e0f9a8b-7c6d-5e4f-3a2b-1c0d9e8f7a6b";

fn full(path: &str) -> String {
    let underscored = UID.replace('-', "_");
    path.replace("UID_", &underscored).replace("UID", UID).replace("ID", ID)
}

/// `runtime:id pod unit`, what is absent as a dash.
fn text(workload: &Workload) -> String {
    let container = workload.container.as_ref().map(|one| {
        assert_eq!(one.name, None, "a path has no names");
        format!("{}:{}", one.runtime.as_str(), one.id.replace(ID, "ID"))
    });
    let pod = workload.pod.as_ref().map(|pod| pod.uid.replace(UID, "UID"));
    let unit = workload.unit.as_ref().map(|unit| unit.replace(ID, "ID"));
    [container, pod, unit].map(|part| part.unwrap_or_else(|| "-".into())).join(" ")
}

#[rstest]
// Docker, both drivers, rootless, ECS.
#[case("/docker/ID", "docker:ID - -")]
#[case("/system.slice/docker-ID.scope", "docker:ID - -")]
#[case("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", "docker:ID - -")]
#[case("/docker/ID/system.slice/nginx.service", "docker:ID - -")]
#[case("/ecs/7b4f0d1e/ID", "container:ID - -")]
// Docker as Kubernetes' runtime.
#[case("/kubepods/burstable/podUID/ID", "kubernetes:ID UID -")]
#[case(
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/docker-ID.scope",
    "docker:ID UID -"
)]
// containerd by Kubernetes: systemd driver, plain driver, guaranteed QoS, mismatched drivers, nerdctl, ctr.
#[case(
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-ID.scope",
    "containerd:ID UID -"
)]
#[case("/kubepods.slice/kubepods-podUID_.slice/cri-containerd-ID.scope", "containerd:ID UID -")]
#[case("/kubepods/podUID/ID", "kubernetes:ID UID -")]
#[case(
    "/kubepods/besteffort/pod1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b/ID",
    "kubernetes:ID 1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b -"
)]
#[case(
    "/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:ID",
    "containerd:ID UID -"
)]
#[case("/system.slice/nerdctl-ID.scope", "containerd:ID - -")]
#[case("/default/ID", "container:ID - -")]
// A pod's own cgroup, without a container.
#[case("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice", "- UID -")]
// kind and k3d: a node that is a container; the pod's is the innermost.
#[case(
    "/docker/0000000000000000000000000000000000000000000000000000000000000000/kubelet/kubepods/burstable/podUID/ID",
    "kubernetes:ID UID -"
)]
#[case(
    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podUID_.slice/cri-containerd-ID.scope",
    "containerd:ID UID -"
)]
#[case(
    "/system.slice/docker-0000000000000000000000000000000000000000000000000000000000000000.scope/docker/ID",
    "docker:ID - -"
)]
// CRI-O, and its monitor, which is outside.
#[case(
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/crio-ID.scope",
    "cri-o:ID UID -"
)]
#[case("/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope/container", "cri-o:ID UID -")]
#[case("/kubepods/burstable/podUID/crio-ID", "cri-o:ID UID -")]
#[case("/kubepods/burstable/podUID/crio-conmon-ID", "- UID -")]
// Podman: root and rootless, both drivers, in a unit of its own (quadlet), its monitor.
#[case("/machine.slice/libpod-ID.scope", "podman:ID - -")]
#[case("/machine.slice/libpod-ID.scope/container", "podman:ID - -")]
#[case("/libpod_parent/libpod-ID", "podman:ID - -")]
#[case("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container", "podman:ID - -")]
#[case("/system.slice/web.service/libpod-payload-ID", "podman:ID - -")]
#[case("/machine.slice/libpod-conmon-ID.scope", "- - libpod-conmon-ID.scope")]
#[case("/libpod_parent/conmon", "- - -")]
// LXC and LXD, three generations, the monitor, docker inside.
#[case("/lxc.payload.web", "lxc:web - -")]
#[case("/lxc.payload.web/system.slice/nginx.service", "lxc:web - -")]
#[case("/lxc.payload/web", "lxc:web - -")]
#[case("/lxc/web/init.scope", "lxc:web - -")]
#[case("/lxc.monitor.web", "- - -")]
#[case("/lxc.payload.web/docker/ID", "docker:ID - -")]
// Machines.
#[case("/machine.slice/machine-web.scope/payload", "machine:web - -")]
#[case(r"/machine.slice/machine-web\x2d1.scope", "machine:web-1 - -")]
#[case("/machine.slice/systemd-nspawn@web.service/payload", "machine:web - -")]
#[case(r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/vcpu0", "machine:qemu-1-vm - -")]
// systemd.
#[case("/system.slice/nginx.service", "- - nginx.service")]
#[case("/system.slice/nginx.service/workers", "- - nginx.service")]
#[case("/system.slice/system-getty.slice/getty@tty1.service", "- - getty@tty1.service")]
#[case(r"/system.slice/a\x2db.service", "- - a-b.service")]
#[case("/user.slice/user-1000.slice/session-3.scope", "- - session-3.scope")]
#[case(
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox.service",
    "- - app-firefox.service"
)]
#[case("/user.slice/user-1000.slice/user@1000.service/init.scope", "- - user@1000.service")]
#[case("/init.scope", "- - init.scope")]
#[case("/user.slice/user-1000.slice", "- - user-1000.slice")]
#[case("/system.slice", "- - system.slice")]
// Nothing.
#[case("/", "- - -")]
#[case("", "- - -")]
#[case("/../..", "- - -")]
#[case("/.service/.slice/machine-.scope", "- - machine-.scope")]
#[case("/docker/buildkit", "- - -")]
#[case("/docker/3F2A", "- - -")]
#[case("/kubepods/burstable/podium", "- - -")]
#[case("/process_api/4a9eec85bd9454428c2080b1d3d8ade3", "- - -")]
fn a_path_is_read(#[case] path: &str, #[case] expected: &str) {
    assert_eq!(text(&parse(&full(path))), expected);
}

const V1: &str = "\
12:pids:/docker/ID
11:cpu,cpuacct:/docker/ID
1:name=systemd:/docker/ID
";
const HYBRID_PODMAN: &str = "\
4:memory:/libpod_parent/libpod-ID
1:name=systemd:/
0::/
";
const HYBRID_SERVICE: &str = "\
3:cpuset:/
2:cpu,cpuacct:/system.slice
1:name=systemd:/system.slice/nginx.service
0::/system.slice/nginx.service
";

#[rstest]
#[case(V1, "docker:ID - -")]
#[case(HYBRID_PODMAN, "podman:ID - -")]
#[case(HYBRID_SERVICE, "- - nginx.service")]
#[case("0::/system.slice/docker-ID.scope\n", "docker:ID - -")]
#[case("0::/a:b/docker/ID\n", "docker:ID - -")]
// As seen from inside a container, below its own root.
#[case("0::/../../kubepods/podUID/ID\n", "kubernetes:ID UID -")]
#[case("0::/\n", "- - -")]
#[case("0:\nx\n", "- - -")]
#[case("", "- - -")]
fn a_process_is_placed(#[case] cgroup: &str, #[case] expected: &str) {
    assert_eq!(text(&parse_process(&full(cgroup))), expected);
}

proptest! {
    #[test]
    fn any_text_is_safe(text in any::<String>()) {
        parse(&text);
        parse_process(&text);
        unescape(&text);
    }

    /// Whatever is around it, an id is found, and it is the innermost.
    #[test]
    fn the_innermost_id_wins(
        outside in "(/[a-z]{1,8}(\\.slice|\\.service)?){0,4}",
        prefix in prop::sample::select(vec!["docker-", "libpod-", "crio-", "cri-containerd-", "nerdctl-"]),
        id in "[0-9a-f]{64}",
        outer in "[0-9a-f]{64}",
        inside in "(/[a-z]{1,8}(\\.service)?){0,2}",
    ) {
        let found = parse(&format!("/docker/{outer}{outside}/{prefix}{id}.scope{inside}")).container;
        // `/lxc/NAME` is an older LXC's.
        prop_assume!(!inside.contains("/lxc/"));
        prop_assert_eq!(found.map(|container| container.id), Some(id));
    }

    #[test]
    fn escaped_names_come_back(name in "[a-z\\-. ]{1,20}") {
        let escaped: Vec<String> = name.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        prop_assert_eq!(unescape(&escaped.concat()), name);
    }
}
