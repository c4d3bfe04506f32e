//! One ping when it is asked for. Those that come by themselves are keepalive's.

use crate::code;
use crate::inbox::{Event, Kind};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::{Stream, StreamProtocol};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::{Duration, Instant};

pub const PROTOCOL: StreamProtocol = libp2p::ping::PROTOCOL_NAME;

/// After which the peer does not answer.
const TIMEOUT: Duration = Duration::from_secs(10);

const SIZE: usize = 32;

/// What the peer cannot have sent before it was asked: the hasher's keys are random.
fn payload() -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    for piece in bytes.chunks_exact_mut(8) {
        piece.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
    }
    bytes
}

/// On a stream of that protocol.
pub async fn measure(mut stream: Stream) -> io::Result<Duration> {
    let sent = payload();
    let mut received = [0; SIZE];
    let begun = Instant::now();
    let exchange = async {
        stream.write_all(&sent).await?;
        stream.flush().await?;
        stream.read_exact(&mut received).await
    };
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to a ping")),
        Ok(result) => result?,
    };
    let taken = begun.elapsed();
    if received != sent {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "another answer than the ping"));
    }
    let _ = stream.close().await;
    Ok(taken)
}

/// What the loop hears of it.
pub fn done(op: u64, measured: io::Result<Duration>) -> Event {
    let mut done = Event::new(Kind::Done, op);
    match measured {
        Ok(time) => done.value = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        Err(error) => {
            done.code = code::NOT_CONNECTED;
            done.text = ww_fence::bounded(error.to_string()).into_bytes();
        }
    }
    done
}
