//! The ceiling of what the loop's end of a stream can reach: the same transport and streams, with
//! Rust at both ends, each in one thread.

use crate::WwSwarmHooks;
use crate::inbox::{Event, Inbox};
use crate::live::Live;
use crate::stream::Raw;
use crate::streams::{self, Opened, Whom};
use crate::transport;
use crate::watch::Watch;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::Transport;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Config, Stream, StreamProtocol, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use std::error::Error;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use ww_fence::WwSlice;

const ECHO: StreamProtocol = StreamProtocol::new("/ww/bench/echo");
const SINK: StreamProtocol = StreamProtocol::new("/ww/bench/sink");
const MESSAGE: usize = 128;
const PIECE: usize = 64 << 10;
const BULK: usize = 256 << 20;
/// A connection's windows grow with what it carries.
const BULKS: usize = 3;
const TRIAL: Duration = Duration::from_millis(400);

type Failure = Box<dyn Error + Send + Sync>;

fn make(live: Arc<Live>) -> Result<Swarm<streams::Behaviour>, Failure> {
    let key = Keypair::generate_ed25519();
    let transport = transport::public(&key, Duration::from_secs(10), &Watch::new()?)?.boxed();
    let behaviour = streams::Behaviour::new(vec![ECHO, SINK], live);
    let config = Config::with_tokio_executor().with_idle_connection_timeout(Duration::MAX);
    Ok(Swarm::new(transport, behaviour, key.public().to_peer_id(), config))
}

fn in_runtime<F: Future<Output = Result<(), Failure>>>(work: F) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

extern "C" fn notify(hub: *mut c_void) {
    unsafe { &*(hub as *const Notify) }.notify_one();
}

extern "C" fn is_private(_: *mut c_void, _: WwSlice) -> bool {
    false
}

/// Says where it listens, and serves until it is ended.
pub fn serve() -> Result<(), Failure> {
    in_runtime(async {
        let came: &Notify = Box::leak(Box::default());
        let hooks = WwSwarmHooks { ring: notify, is_private };
        let inbox = Arc::new(Inbox::new(hooks, ptr::from_ref(came).cast_mut().cast()));
        let mut swarm = make(Live::new(inbox.clone()))?;
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        loop {
            tokio::select! {
                event = swarm.select_next_some() => {
                    if let SwarmEvent::NewListenAddr { address, .. } = event {
                        println!("{address}/p2p/{}", swarm.local_peer_id());
                    }
                }
                () = came.notified() => inbox.take().into_iter().for_each(serve_one),
            }
        }
    })
}

fn serve_one(event: Event) {
    let Some(stream) = event.stream else { return };
    tokio::spawn(async move {
        let (stream, _place) = stream.into_raw();
        if event.text == ECHO.as_ref().as_bytes() { echo(stream).await } else { sink(stream).await }
    });
}

async fn echo(mut stream: impl Raw) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}

async fn sink(mut stream: impl Raw) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    while stream.read(&mut buffer).await? > 0 {}
    stream.write_all(&[1]).await?;
    stream.close().await
}

/// Prints round trips a second and bytes a second, the best of some.
pub fn run(address: &str) -> Result<(), Failure> {
    let address: Multiaddr = address.parse()?;
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        return Err("the address does not end in /p2p/ID".into());
    };
    in_runtime(async move {
        let live = Live::new(Inbox::unheard());
        let mut swarm = make(live.clone())?;
        swarm.dial(address)?;
        while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
        let mut ping = open(&mut swarm, &live, peer, ECHO).await?;
        let mut bulks = Vec::new();
        for _ in 0..BULKS {
            bulks.push(open(&mut swarm, &live, peer, SINK).await?);
        }
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        let trips = round_trips(&mut ping).await?;
        let mut bytes = 0f64;
        for bulk in bulks {
            bytes = bytes.max(pour(bulk).await?);
        }
        println!("{trips} {bytes}");
        Ok(())
    })
}

async fn open(
    swarm: &mut Swarm<streams::Behaviour>,
    live: &Live,
    peer: PeerId,
    protocol: StreamProtocol,
) -> Result<Stream, Failure> {
    live.open(0, peer, protocol, Whom::Network).map_err(|(_, why)| format!("open: {why}"))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(Opened { stream, .. }) => return Ok(stream),
            SwarmEvent::ConnectionClosed { .. } => return Err("it closed the connection".into()),
            _ => {}
        }
    }
}

async fn round_trips(stream: &mut Stream) -> io::Result<f64> {
    let mut buffer = [0; MESSAGE];
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < TRIAL {
        stream.write_all(&buffer).await?;
        stream.flush().await?;
        stream.read_exact(&mut buffer).await?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

async fn pour(mut stream: Stream) -> io::Result<f64> {
    let piece = vec![0; PIECE];
    let begun = Instant::now();
    for _ in 0..BULK / PIECE {
        stream.write_all(&piece).await?;
    }
    stream.close().await?;
    stream.read_exact(&mut [0]).await?;
    Ok(BULK as f64 / begun.elapsed().as_secs_f64())
}
