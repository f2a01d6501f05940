//! What is said in a room is posted to the room's own web server (plugin-textroom §4, `post`).

use super::stage::{PATIENCE, Stage, run};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request as the web server got it.
#[derive(Debug)]
struct Post {
    line: String,
    content_type: Option<String>,
    body: Value,
}

/// A web server that answers each request with `status`, or never with `None`.
struct Inbox {
    url: String,
    posts: mpsc::UnboundedReceiver<Post>,
}

impl Inbox {
    async fn open(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let (sender, posts) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream, status, sender.clone()));
            }
        });
        Inbox { url: format!("http://127.0.0.1:{port}/chat?room=1"), posts }
    }

    async fn next(&mut self) -> Post {
        let post = tokio::time::timeout(PATIENCE, self.posts.recv()).await;
        post.expect("a post in time").expect("the server lives")
    }
}

async fn serve(mut stream: TcpStream, status: Option<u16>, to: mpsc::UnboundedSender<Post>) {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        received.extend_from_slice(&chunk[..length]);
        let Some(post) = read(&String::from_utf8_lossy(&received)) else { continue };
        to.send(post).expect("the test listens");
        received.clear();
        match status {
            // The socket stays open, and nothing is ever said.
            None => std::future::pending().await,
            Some(status) => {
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno");
                stream.write_all(answer.as_bytes()).await.expect("answered");
            }
        }
    }
}

/// A request, once it is there whole.
fn read(text: &str) -> Option<Post> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let header = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let field = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        field.map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length")?.parse().ok()?;
    let body = serde_json::from_str(body.get(..length)?).ok()?;
    Some(Post { line, content_type: header("content-type"), body })
}

#[test]
fn textroom_posts_are_what_the_room_hears() {
    run(async {
        let mut inbox = Inbox::open(Some(500)).await;
        let settings = json!({"post": inbox.url, "secret": "s"});
        let (mut stage, room) = Stage::with_room(settings).await;
        let mut ada = stage.member(&room, "ada").await;
        ada.does(json!({"textroom": "message", "room": room, "text": "to nobody", "to": "x"}))
            .await;
        let said = ada.does(json!({"textroom": "message", "room": room, "text": "hé"})).await;
        let post = inbox.next().await;
        assert_eq!(post.line, "POST /chat?room=1 HTTP/1.1");
        assert_eq!(post.content_type.as_deref(), Some("application/json"));
        let heard = std::slice::from_ref(&post.body);
        assert_eq!(said, heard, "the very message, and no whisper before it");
        assert_eq!(post.body["text"], "hé");
        // What the server answers, an error even, is not looked at.
        let body = json!({"request": "announcement", "room": room, "secret": "s", "text": "hear!"});
        assert_eq!(stage.manage(body).await["textroom"], "success");
        let post = inbox.next().await;
        assert_eq!(post.body, ada.hear_of("announcement").await);
        // Another address from now on.
        let mut other = Inbox::open(Some(200)).await;
        let body = json!({"request": "edit", "room": room, "secret": "s", "new_post": other.url});
        assert_eq!(stage.manage(body).await["textroom"], "edited");
        ada.does(json!({"textroom": "message", "room": room, "text": "moved"})).await;
        assert_eq!(other.next().await.body["text"], "moved");
        assert!(inbox.posts.try_recv().is_err());
    });
}

#[test]
fn textroom_posts_that_nobody_answers_hold_nobody_up() {
    run(async {
        let mut inbox = Inbox::open(None).await;
        let (stage, room) = Stage::with_room(json!({"post": inbox.url})).await;
        let mut ada = stage.member(&room, "ada").await;
        let began = tokio::time::Instant::now();
        for number in 0..20 {
            let text = format!("message {number}");
            ada.does(json!({"textroom": "message", "room": room, "text": text})).await;
        }
        // A request may take ten seconds: one after the other they would take minutes.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        // One at a time, so that they come in order: the first is under way.
        assert_eq!(inbox.next().await.body["text"], "message 0");
        assert!(inbox.posts.try_recv().is_err());
    });
}

#[test]
fn textroom_posts_come_in_the_order_in_which_they_were_said() {
    run(async {
        let mut inbox = Inbox::open(Some(200)).await;
        let (stage, room) = Stage::with_room(json!({"post": inbox.url})).await;
        let mut ada = stage.member(&room, "ada").await;
        for number in 0..60 {
            ada.does(json!({"textroom": "message", "room": room, "text": number.to_string()}))
                .await;
        }
        for number in 0..60 {
            assert_eq!(inbox.next().await.body["text"], number.to_string());
        }
    });
}
