//! A WebSocket to the Janus API, raw: texts in, texts out.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::JanusError;

/// One WebSocket connection that leaves correlation to its user.
///
/// For tests that send what no client would; [`super::Client`] is built on it.
pub struct WebSocket {
    stream: WebSocketStream<TcpStream>,
}

fn broken(error: impl std::fmt::Display) -> JanusError {
    JanusError::Connection(error.to_string())
}

impl WebSocket {
    /// Connects to `ws://host:port[/path]` with the subprotocol `janus-protocol`.
    ///
    /// # Errors
    /// [`JanusError::Address`] when `url` is no plain `ws://` address, [`JanusError::Connection`]
    /// when the server cannot be reached or refuses the upgrade.
    pub async fn connect(url: &str) -> Result<Self, JanusError> {
        Self::connect_as(url, "janus-protocol").await
    }

    /// Like [`connect`](Self::connect), asking for another subprotocol.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_as(url: &str, subprotocol: &str) -> Result<Self, JanusError> {
        let bad = || JanusError::Address(url.to_owned());
        let rest = url.strip_prefix("ws://").ok_or_else(bad)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let mut request = url.into_client_request().map_err(|_| bad())?;
        let name = HeaderValue::from_str(subprotocol).map_err(|_| bad())?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        let socket = TcpStream::connect(authority).await.map_err(broken)?;
        socket.set_nodelay(true).map_err(broken)?;
        let (stream, _) = tokio_tungstenite::client_async(request, socket).await.map_err(broken)?;
        Ok(Self { stream })
    }

    /// Sends one text message.
    ///
    /// # Errors
    /// [`JanusError::Connection`] when the connection is gone.
    pub async fn send(&mut self, text: &str) -> Result<(), JanusError> {
        self.stream.send(Message::text(text)).await.map_err(broken)
    }

    /// The next text message; `None` at the end of the connection. May be cancelled.
    ///
    /// # Errors
    /// [`JanusError::Connection`] when the connection breaks.
    pub async fn receive(&mut self) -> Result<Option<String>, JanusError> {
        while let Some(message) = self.stream.next().await {
            match message.map_err(broken)? {
                Message::Text(text) => return Ok(Some(text.as_str().to_owned())),
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Says goodbye and closes.
    ///
    /// # Errors
    /// [`JanusError::Connection`] when the connection was gone before.
    pub async fn close(mut self) -> Result<(), JanusError> {
        self.stream.close(None).await.map_err(broken)
    }
}
