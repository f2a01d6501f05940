//! Where each incoming message belongs: a waiting request, a handle, a session, or nowhere.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::QUEUE;

/// Tables of one connection. A lock is fine here: signalling, not media.
#[derive(Default)]
pub(super) struct Router {
    tables: Mutex<Tables>,
    next: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Tables {
    pending: HashMap<String, oneshot::Sender<Value>>,
    handles: HashMap<(u64, u64), mpsc::Sender<Value>>,
    sessions: HashMap<u64, mpsc::Sender<Value>>,
    stray: Vec<Value>,
    closed: bool,
}

impl Router {
    fn tables(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A transaction string not used before on this connection.
    pub(super) fn transaction(&self) -> String {
        format!("t{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Announces a request, so that its reply finds it. `None` once the connection is gone.
    pub(super) fn expect(&self, transaction: &str) -> Option<oneshot::Receiver<Value>> {
        let (sender, receiver) = oneshot::channel();
        let mut tables = self.tables();
        if tables.closed {
            return None;
        }
        tables.pending.insert(transaction.to_owned(), sender);
        Some(receiver)
    }

    pub(super) fn forget(&self, transaction: &str) {
        self.tables().pending.remove(transaction);
    }

    pub(super) fn open_session(&self, session: u64) -> mpsc::Receiver<Value> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.tables().sessions.insert(session, sender);
        receiver
    }

    pub(super) fn open_handle(&self, session: u64, handle: u64) -> mpsc::Receiver<Value> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.tables().handles.insert((session, handle), sender);
        receiver
    }

    /// Sorts one incoming message.
    pub(super) fn deliver(&self, message: Value) {
        let mut tables = self.tables();
        let verb = message["janus"].as_str().unwrap_or_default();
        let reply = matches!(verb, "ack" | "success" | "error" | "pong" | "server_info");
        if reply
            && let Some(transaction) = message["transaction"].as_str()
            && let Some(waiting) = tables.pending.remove(transaction)
        {
            // A requester that gave up drops its end; its reply is then nobody's.
            let _ = waiting.send(message);
            return;
        }
        let session = message["session_id"].as_u64();
        let sender = message["sender"].as_u64();
        let queue = match (session, sender) {
            (Some(session), Some(sender)) => tables.handles.get(&(session, sender)),
            (Some(session), None) => tables.sessions.get(&session),
            _ => None,
        };
        match queue {
            Some(queue) => {
                if queue.try_send(message).is_err() {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            None if tables.stray.len() < QUEUE => tables.stray.push(message),
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The connection is gone: every waiter learns it by its channel closing.
    pub(super) fn close(&self) {
        let mut tables = self.tables();
        tables.closed = true;
        tables.pending.clear();
        tables.handles.clear();
        tables.sessions.clear();
    }

    /// Messages that belonged to nothing, e.g. errors without a transaction; taken out.
    pub(super) fn take_stray(&self) -> Vec<Value> {
        std::mem::take(&mut self.tables().stray)
    }

    /// Messages dropped because a queue was full or its reader gone.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_with_the_transaction_of_a_waiting_request_is_not_its_reply() {
        let router = Router::default();
        let mut handle = router.open_handle(1, 2);
        let mut reply = router.expect("t0").expect("open");
        router.deliver(json!({"janus":"event","session_id":1,"sender":2,"transaction":"t0"}));
        assert!(reply.try_recv().is_err());
        assert_eq!(handle.try_recv().map(|e| e["janus"].clone()), Ok(json!("event")));
        router.deliver(json!({"janus":"ack","session_id":1,"transaction":"t0"}));
        assert_eq!(reply.try_recv().map(|e| e["janus"].clone()), Ok(json!("ack")));
    }

    #[test]
    fn what_belongs_to_nothing_is_kept_apart() {
        let router = Router::default();
        router.deliver(json!({"janus":"error","error":{"code":454}}));
        router.deliver(json!({"janus":"webrtcup","session_id":9,"sender":9}));
        assert_eq!(router.take_stray().len(), 2);
        assert!(router.take_stray().is_empty());
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let router = Router::default();
        let _queue = router.open_session(1);
        for _ in 0..QUEUE + 3 {
            router.deliver(json!({"janus":"timeout","session_id":1}));
        }
        assert_eq!(router.dropped(), 3);
    }

    #[test]
    fn a_closed_connection_accepts_no_request() {
        let router = Router::default();
        let mut waiting = router.expect("t1").expect("open");
        router.close();
        assert!(matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(router.expect("t2").is_none());
    }
}
