//! `"owner":{…}` of a socket, and the workload's members, which a network namespace has as well.

use super::push::{number, string};
use crate::model::{Holding, Owner, Process, Workload};
use crate::output::append;

/// `,"owner":{…}`; nothing where nothing is known.
pub(super) fn push_owner(out: &mut Vec<u8>, owner: &Owner) {
    let start = out.len();
    if let Some((first, others)) = owner.processes.split_first() {
        push_process(out, b",", first);
        let mut opening: &[u8] = br#","others":["#;
        for other in others {
            out.extend_from_slice(opening);
            push_process(out, b"{", other);
            out.push(b'}');
            opening = b",";
        }
        if !others.is_empty() {
            out.push(b']');
        }
        if owner.more > 0 {
            number(out, br#","more":"#, owner.more);
        }
    }
    if owner.nobody {
        out.extend_from_slice(br#","nobody":true"#);
    }
    push_workload(out, &owner.workload);
    if out.len() > start {
        // The first member's comma makes room for the brace.
        out.splice(start..=start, *br#","owner":{"#);
        out.push(b'}');
    }
}

/// `,"container":"docker:3f2a…","container_name":"web","pod":"…","pod_name":"default/web-0","unit":"nginx.service"`, those that are known.
pub(super) fn push_workload(out: &mut Vec<u8>, workload: &Workload) {
    if let Some(container) = &workload.container {
        string(out, br#","container":"#, &format!("{}:{}", container.runtime.as_str(), container.id));
        if let Some(name) = &container.name {
            string(out, br#","container_name":"#, name);
        }
    }
    if let Some(pod) = &workload.pod {
        string(out, br#","pod":"#, &pod.uid);
        if let Some(name) = &pod.name {
            string(out, br#","pod_name":"#, name);
        }
    }
    if let Some(unit) = &workload.unit {
        string(out, br#","unit":"#, unit);
    }
}

fn push_process(out: &mut Vec<u8>, opening: &[u8], process: &Process) {
    out.extend_from_slice(opening);
    append(out, format_args!(r#""pid":{}"#, process.pid));
    string(out, br#","command":"#, &process.command);
    out.extend_from_slice(match process.holding {
        Holding::Open => b"",
        Holding::Closed => br#","closed":true"#,
        Holding::Gone => br#","gone":true"#,
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::super::super::samples::written;
    use super::*;
    use crate::model::{Container, Pod, Runtime};

    fn process(pid: u32, holding: Holding) -> Process {
        Process { pid, command: "a\"b".into(), holding }
    }

    fn pod() -> Arc<Workload> {
        Arc::new(Workload {
            container: Some(Container {
                runtime: Runtime::CriO,
                id: "3f2a".into(),
                name: Some("web".into()),
            }),
            pod: Some(Pod { uid: "7".into(), name: Some("default/web-0".into()) }),
            unit: None,
        })
    }

    fn unit() -> Arc<Workload> {
        Arc::new(Workload { unit: Some("nginx.service".into()), ..Workload::default() })
    }

    #[rstest]
    #[case(Owner::default(), "")]
    #[case(Owner { nobody: true, ..Owner::default() }, r#","owner":{"nobody":true}"#)]
    #[case(Owner { workload: unit(), ..Owner::default() }, r#","owner":{"unit":"nginx.service"}"#)]
    #[case(Owner { processes: vec![process(1, Holding::Open)], ..Owner::default() }, r#","owner":{"pid":1,"command":"a\"b"}"#)]
    #[case(Owner { processes: vec![process(1, Holding::Gone)], nobody: true, ..Owner::default() }, r#","owner":{"pid":1,"command":"a\"b","gone":true,"nobody":true}"#)]
    #[case(
        Owner { processes: vec![process(1, Holding::Open), process(2, Holding::Closed), process(3, Holding::Open)], more: 4, workload: pod(), nobody: false },
        r#","owner":{"pid":1,"command":"a\"b","others":[{"pid":2,"command":"a\"b","closed":true},{"pid":3,"command":"a\"b"}],"more":4,"container":"cri-o:3f2a","container_name":"web","pod":"7","pod_name":"default/web-0"}"#
    )]
    fn an_owner_is_an_object(#[case] owner: Owner, #[case] expected: &str) {
        let text = written(|out| push_owner(out, &owner));
        assert_eq!(text, expected);
        // It follows another member.
        let object = format!("{{\"a\":1{text}}}");
        serde_json::from_str::<serde_json::Value>(&object).unwrap();
    }
}
