//! What a node's connections run over: TCP with Noise or TLS and Yamux, QUIC, or, in a private
//! network, TCP behind a shared key.

use crate::half_open::Bounded;
use crate::keepalive;
use crate::muxer::Apart;
use crate::watch::{Socket, Watch};
use futures::future::{BoxFuture, Either, FutureExt, TryFutureExt};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::{
    InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version,
};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{PeerId, noise, quic, tcp, tls, yamux};
use socket2::SockRef;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

type Failure = Box<dyn Error + Send + Sync>;
type Muxed = Boxed<(PeerId, StreamMuxerBox)>;

/// The muxer's default of 512 ends the whole connection when the peer opens one stream more. 4096
/// is the most that its receive window of 1 GiB a connection allows.
const MAX_MUXED: usize = 4096;

pub fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_MUXED);
    config
}

fn sockets(
    watch: &Arc<Watch>,
) -> impl Transport<Output = Socket, Error = io::Error, Dial: Send, ListenerUpgrade: Send>
+ Send
+ Unpin
+ 'static {
    let watch = watch.clone();
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)).map(move |socket, _| {
        // A peer that takes nothing for so long is as good as mute. A socket that cannot have it
        // is broken already.
        let _ = SockRef::from(&socket.0).set_tcp_user_timeout(Some(keepalive::MUTE));
        Socket::new(socket, watch.clone())
    })
}

/// `timeout` is that of the handshakes. Inbound ones have but so much room.
pub fn public(
    key: &Keypair,
    timeout: Duration,
    watch: &Arc<Watch>,
) -> Result<Bounded<Muxed>, Failure> {
    let over_tcp = sockets(watch)
        .upgrade(Version::V1Lazy)
        .authenticate(Security::new(key)?)
        .multiplex(muxer())
        .timeout(timeout);
    let over_quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let either = over_tcp
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Apart::new(muxer))))
        .or_transport(over_quic)
        .map(|either, _| either.into_inner());
    Ok(Bounded::new(either.boxed()))
}

/// TCP alone: QUIC has no place for a shared key.
pub fn private(
    key: &Keypair,
    shared: PreSharedKey,
    timeout: Duration,
    watch: &Arc<Watch>,
) -> Result<Bounded<Muxed>, Failure> {
    let muxed = sockets(watch)
        .and_then(move |socket, _| PnetConfig::new(shared).handshake(socket))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(muxer())
        .timeout(timeout);
    Ok(Bounded::new(
        muxed.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Apart::new(muxer)))).boxed(),
    ))
}

/// Noise, or TLS with who would rather.
#[derive(Clone)]
struct Security {
    noise: noise::Config,
    tls: tls::Config,
}

const NOISE: &str = "/noise";
const TLS: &str = "/tls/1.0.0";

impl Security {
    fn new(key: &Keypair) -> Result<Self, Failure> {
        Ok(Security { noise: noise::Config::new(key)?, tls: tls::Config::new(key)? })
    }
}

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = [&'static str; 2];

    fn protocol_info(&self) -> Self::InfoIter {
        [NOISE, TLS]
    }
}

type Secured<C> = (PeerId, Either<noise::Output<C>, tls::TlsStream<C>>);

fn secured<A, B>(
    chosen: Either<
        impl Future<Output = Result<(PeerId, A), noise::Error>> + Send + 'static,
        impl Future<Output = Result<(PeerId, B), tls::UpgradeError>> + Send + 'static,
    >,
) -> BoxFuture<'static, io::Result<(PeerId, Either<A, B>)>> {
    match chosen {
        Either::Left(noise) => noise
            .map_ok(|(peer, stream)| (peer, Either::Left(stream)))
            .map_err(io::Error::other)
            .boxed(),
        Either::Right(tls) => tls
            .map_ok(|(peer, stream)| (peer, Either::Right(stream)))
            .map_err(io::Error::other)
            .boxed(),
    }
}

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_inbound(self, socket: C, chosen: &'static str) -> Self::Future {
        secured(if chosen == TLS {
            Either::Right(self.tls.upgrade_inbound(socket, chosen))
        } else {
            Either::Left(self.noise.upgrade_inbound(socket, chosen))
        })
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_outbound(self, socket: C, chosen: &'static str) -> Self::Future {
        secured(if chosen == TLS {
            Either::Right(self.tls.upgrade_outbound(socket, chosen))
        } else {
            Either::Left(self.noise.upgrade_outbound(socket, chosen))
        })
    }
}
