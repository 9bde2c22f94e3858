//! `"socket":{…}`, `"cpu_task":{…}`, `"verdict":{…}` and `"stack":[…]`.

use super::owner::push_owner;
use super::push::{number, string};
use crate::model::{
    Context, Framework, Hook, Queues, Socket, SocketKind, Table, TableFamily, Verdict, Whose,
};

/// What is known beyond the packet; nothing where nothing was asked for.
pub(super) fn push_context(out: &mut Vec<u8>, context: &Context<'_>) {
    if let Some(socket) = context.socket {
        push_socket(out, socket);
        if let Some(owner) = context.owner {
            push_owner(out, owner);
        }
        out.push(b'}');
    }
    if let Some(task) = context.cpu_task {
        number(out, br#","cpu_task":{"pid":"#, task.pid);
        string(out, br#","command":"#, &task.name());
        out.push(b'}');
    }
    if let Some(verdict) = context.verdict.filter(|verdict| !verdict.is_unknown()) {
        push_verdict(out, verdict);
    }
    let mut opening: &[u8] = br#","stack":["#;
    for frame in context.stack {
        string(out, opening, frame);
        opening = b",";
    }
    if !context.stack.is_empty() {
        out.push(b']');
    }
}

fn push_verdict(out: &mut Vec<u8>, Verdict { framework, family, hook, table }: Verdict) {
    let members = [
        (&br#""framework":"#[..], framework.map(Framework::as_str)),
        (br#""family":"#, family.map(TableFamily::as_str)),
        (br#""hook":"#, hook.map(Hook::as_str)),
        (br#""table":"#, table.map(Table::as_str)),
    ];
    let mut opening: &[u8] = br#","verdict":{"#;
    for (key, word) in members {
        if let Some(word) = word {
            out.extend_from_slice(opening);
            string(out, key, word);
            opening = b",";
        }
    }
    out.push(b'}');
}

fn push_socket(out: &mut Vec<u8>, socket: &Socket) {
    string(
        out,
        br#","socket":{"of":"#,
        match socket.whose {
            Whose::Packet => "packet",
            Whose::Receiver | Whose::Found => "receiver",
        },
    );
    if socket.whose == Whose::Found {
        string(out, br#","known_by":"#, "address");
    }
    match socket.kind {
        SocketKind::Full => {}
        SocketKind::TimeWait => string(out, br#","kind":"#, "time-wait"),
        SocketKind::Request => string(out, br#","kind":"#, "request"),
    }
    match socket.family_name() {
        Some(family) => string(out, br#","family":"#, family),
        None => string(out, br#","family":"#, &socket.family.to_string()),
    }
    if let Some(state) = socket.state_name() {
        string(out, br#","state":"#, state);
    }
    if let Some(local) = socket.local {
        string(out, br#","local":"#, &local.to_string());
    }
    if let Some(remote) = socket.remote {
        string(out, br#","remote":"#, &remote.to_string());
    }
    if let Some(queues) = &socket.queues {
        push_queues(out, queues);
    }
    if let Some(inode) = socket.inode {
        number(out, br#","inode":"#, inode);
    }
    if let Some(cookie) = socket.cookie {
        number(out, br#","cookie":"#, cookie);
    }
}

pub(super) fn push_queues(out: &mut Vec<u8>, queues: &Queues) {
    number(out, br#","receive_queue":"#, queues.receive);
    number(out, br#","receive_limit":"#, queues.receive_limit);
    number(out, br#","send_queue":"#, queues.send);
    number(out, br#","send_limit":"#, queues.send_limit);
    number(out, br#","backlog":"#, queues.backlog);
    if let Some((waiting, limit)) = queues.accept {
        number(out, br#","accept_queue":"#, waiting);
        number(out, br#","accept_limit":"#, limit);
    }
    number(out, br#","drops":"#, queues.drops);
}
