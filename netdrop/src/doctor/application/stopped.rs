//! `application-stopped`: nobody reads, as the process is stopped, held by a debugger or frozen with its cgroup.

use super::case::Case;
use super::check;
use super::verdict::found;
use crate::doctor::shell::shell;
use crate::doctor::{Certainty, Check, Evidence, Finding, Remedy};
use crate::model::Runtime;
use crate::owner::cgroup_path;

pub const CHECK: Check = check("application-stopped", |window| found(window, "application-stopped"));

/// By the state in `/proc/PID/stat` (`fs/proc/array.c`, `task_state_array`), or its cgroup's freezer.
pub fn judge(case: &Case) -> Option<Finding> {
    let process = case.after;
    let pid = process.pid;
    let state = |why: String| {
        case.finding(case.severity(), "Nobody reads: the process that holds the socket is stopped.")
            .because(Certainty::Certain, why)
            .shown_by([Evidence::value("state", process.stat.state, format!("/proc/{pid}/stat"))])
    };
    match process.stat.state {
        'T' => {
            let why = "It was stopped by a signal (SIGSTOP, or Ctrl-Z at a terminal), and goes on by SIGCONT alone.";
            let all = "If its workers are stopped too, the same for each of them.";
            return Some(
                state(why.into())
                    .remedy(Remedy::command("Let it go on.", format!("kill -CONT {pid}")))
                    .caution(format!("Somebody stopped it, perhaps for a reason. {all}")),
            );
        }
        't' => {
            let tracer = process.tracer;
            let why = format!(
                "A debugger (process {tracer}) holds it at a breakpoint, or attached and never let it go on."
            );
            return Some(
                state(why)
                    .shown_by([Evidence::value("TracerPid", tracer, format!("/proc/{pid}/status"))])
                    .remedy(Remedy::advice(format!(
                        "Let it go on in the debugger, or detach: the debugger is process {tracer}."
                    )))
                    .caution("Ending the debugger lets it go on too; what was looked at there is lost."),
            );
        }
        _ => {}
    }
    let (folder, _, group) = case.groups().find(|(_, _, group)| group.is_frozen)?;
    let file = format!("{folder}/{}", if group.is_old { "freezer.state" } else { "cgroup.freeze" });
    let thaw = match cgroup_path::parse(&group.path).container {
        Some(container) if container.runtime == Runtime::Docker => format!("docker unpause {}", container.id),
        Some(container) if container.runtime == Runtime::Podman => format!("podman unpause {}", container.id),
        _ => format!("echo {} > {}", if group.is_old { "THAWED" } else { "0" }, shell(&file)),
    };
    Some(
        state(
            "Its cgroup is frozen: the container was paused, or the service frozen (systemctl freeze)."
                .into(),
        )
        .shown_by([Evidence::value("frozen", 1, file)])
        .remedy(Remedy::command("Let all in it go on.", thaw))
        .caution("Somebody froze it, perhaps for a snapshot that isn't done yet."),
    )
}
