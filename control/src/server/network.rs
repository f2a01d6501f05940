//! The host's addresses, and the datapath on top of them.

use super::Refusal;
use crate::negotiation::NegotiationSettings;
use crate::stun;
use bifrons_core::config::Settings;
use bifrons_core::config::settings::{Engine, Tx};
use bifrons_core::ice::{InterfaceAddress, LocalPlan, LocalRules, PrefixList};
use bifrons_datapath::bypass::Transmit;
use bifrons_datapath::cores::{self, Core};
use bifrons_datapath::dtls_openssl::{Certificate, DtlsContext, DtlsSettings, KeyKind};
use bifrons_datapath::engine::EngineChoice;
use bifrons_datapath::seal::Kernel;
use bifrons_datapath::shard::{Coalescing, ShardConfig};
use bifrons_datapath::start::{Datapath, DatapathOptions};
use bifrons_datapath::udp::SocketOptions;
use ring::rand::{SecureRandom, SystemRandom};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

/// Where the server is reached, and the certificate it shows there.
pub(super) struct Network {
    rules: LocalRules,
    plan: LocalPlan,
    certificate: Certificate,
}

impl Network {
    /// Looks at the host's interfaces, applies the rules, makes or reads the certificate.
    pub(super) fn discover(settings: &Settings) -> Result<Self, Refusal> {
        let mut rules = rules(settings);
        let addresses = interface_addresses()?;
        let plan = LocalPlan::new(&addresses, &rules);
        if plan.bind.is_empty() {
            let all: Vec<_> = addresses.iter().map(|a| format!("{} {}", a.name, a.ip)).collect();
            return Err(format!(
                "no local address is left for media: ice_enforce_list, ice_ignore_list and ipv6 \
                 exclude all of {}",
                all.join(", ")
            ));
        }
        if plan.left_out > 0 {
            tracing::warn!(left_out = plan.left_out, "too many local addresses; some are not used");
        }
        let local = plan.bind.first().map_or(Ipv4Addr::LOCALHOST.into(), |bound| bound.ip);
        if let Some(public) = stun::public_address(&settings.nat, local)?
            && !rules.nat_1_1_mapping.contains(&public)
        {
            // A guess, unlike a configured mapping: our own address stays offered beside it.
            rules.keep_private_host |= rules.nat_1_1_mapping.is_empty();
            rules.nat_1_1_mapping.push(public);
        }
        Ok(Network { rules, plan, certificate: certificate(settings)? })
    }

    /// The first address that media come to.
    pub(super) fn local_ip(&self) -> IpAddr {
        self.plan.bind.first().map_or(Ipv4Addr::LOCALHOST.into(), |bound| bound.ip)
    }

    /// Addresses under which the world reaches us, if they are not our own.
    pub(super) fn public_ips(&self) -> &[IpAddr] {
        &self.rules.nat_1_1_mapping
    }

    /// What the negotiation needs to know of all this.
    pub(super) fn negotiation(&self, settings: &Settings) -> NegotiationSettings {
        let fingerprint = self.certificate.fingerprint().hex();
        let mut negotiation =
            NegotiationSettings::new(fingerprint, self.plan.clone(), self.rules.clone());
        negotiation.full_trickle = settings.nat.full_trickle;
        negotiation.ice_lite = settings.nat.ice_lite;
        negotiation.allow_force_relay = settings.nat.allow_force_relay;
        negotiation.encrypted = !settings.general.no_webrtc_encryption;
        negotiation.setup = settings.datapath.setup;
        if let Some(address) = settings.general.interface.as_deref().and_then(|i| i.parse().ok()) {
            negotiation.session_address = address;
        }
        negotiation
    }

    /// Binds the shards' sockets and starts their threads.
    pub(super) fn start_datapath(&self, settings: &Settings) -> Result<Datapath, Refusal> {
        let allowed = cores::allowed();
        let options = self.options(settings, &allowed)?;
        let dtls = DtlsContext::new(&self.certificate, &dtls_settings(settings))
            .map_err(|error| format!("DTLS cannot be set up (dtls_ciphers?): {error}"))?;
        let datapath = Datapath::start(&options, dtls).map_err(|error| not_started(&error))?;
        tracing::info!("SRTP kernel: {}", Kernel::detect().name());
        for (index, shard) in datapath.shards.iter().enumerate() {
            let sockets: Vec<_> = shard.sockets.iter().map(ToString::to_string).collect();
            tracing::info!("shard {index}: {:?} on {}", shard.engine, sockets.join(", "));
            if let Some(why) = &shard.fell_back {
                tracing::warn!("shard {index} does without io_uring: {why}");
            }
        }
        match &datapath.bypass {
            Some(Ok(devices)) => tracing::info!("packet rings on {}", devices.join("; ")),
            Some(Err(why)) => tracing::warn!("packets leave by UDP sockets: {why}"),
            None => {}
        }
        Ok(datapath)
    }

    fn options(&self, settings: &Settings, allowed: &[Core]) -> Result<DatapathOptions, Refusal> {
        let configured = settings.shards().map(usize::from);
        let shards = cores::shards_for(allowed.len(), configured).min(256);
        let last = u16::try_from(shards - 1).unwrap_or(u16::MAX);
        if settings.media.shard_port(last).is_none() {
            return Err(format!(
                "rtp_port_range has too few ports: {shards} shards need one each, from {} on",
                settings.media.rtp_port_base()
            ));
        }
        let cores = pinning(settings, allowed);
        let busy_poll = busy_poll(settings, shards, &cores);
        Ok(DatapathOptions {
            shards,
            addresses: self.plan.bind.iter().map(|bound| bound.ip).collect(),
            port_base: settings.media.rtp_port_base(),
            engine: match settings.datapath.engine {
                Engine::Auto => EngineChoice::Auto,
                Engine::IoUring => EngineChoice::IoUring,
                Engine::Epoll => EngineChoice::Epoll,
            },
            transmit: match settings.datapath.tx {
                Tx::Udp => Transmit::Udp,
                Tx::PacketRing => Transmit::PacketRing,
            },
            sockets: SocketOptions {
                dscp: Some(settings.media.dscp).filter(|dscp| *dscp > 0),
                ..SocketOptions::default()
            },
            cores,
            shard: ShardConfig { busy_poll, ..shard_config(settings)? },
        })
    }
}

/// Why the datapath did not start, with what helps against the usual cause.
fn not_started(error: &std::io::Error) -> Refusal {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; does another server run? rtp_port_range says where our ports begin"
        }
        _ => "",
    };
    format!("the media shards cannot be started: {error}{hint}")
}

/// How long shards look for packets before they sleep. A thread that spins takes its core from
/// whoever shares it: nobody spins there (design §4, placement).
fn busy_poll(settings: &Settings, shards: usize, cores: &[Core]) -> Duration {
    let wanted = Duration::from_micros(settings.datapath.busy_poll_us.into());
    if wanted.is_zero() || cores::alone(shards, cores) {
        return wanted;
    }
    tracing::warn!("busy_poll_us is ignored: {shards} shards share their cores with other threads");
    Duration::ZERO
}

/// The cores of control and the shards: as configured, else those the process may use.
fn pinning(settings: &Settings, allowed: &[Core]) -> Vec<Core> {
    let chosen = &settings.datapath.affinity;
    if chosen.is_empty() {
        return allowed.to_vec();
    }
    let control = allowed.first().copied().into_iter();
    control.chain(chosen.iter().map(|core| Core(usize::from(*core)))).collect()
}

fn rules(settings: &Settings) -> LocalRules {
    let nat = &settings.nat;
    LocalRules {
        enforce: PrefixList::parse(&nat.ice_enforce_list.join(",")),
        ignore: PrefixList::parse(&nat.ice_ignore_list.join(",")),
        ipv6: settings.media.ipv6,
        ipv6_linklocal: settings.media.ipv6_linklocal,
        nat_1_1_mapping: nat.nat_1_1_mapping.clone(),
        keep_private_host: nat.keep_private_host,
        tcp: false,
    }
}

/// The addresses of all interfaces that are up.
fn interface_addresses() -> Result<Vec<InterfaceAddress>, Refusal> {
    let all = if_addrs::get_if_addrs()
        .map_err(|error| format!("the host's addresses cannot be listed: {error}"))?;
    // Loopback and tunnels often say "unknown": down is what is known to be down.
    let is_down = |one: &if_addrs::Interface| one.oper_status == if_addrs::IfOperStatus::Down;
    let up = all.into_iter().filter(|one| !is_down(one));
    Ok(up.map(|one| InterfaceAddress { ip: one.ip(), name: one.name }).collect())
}

fn shard_config(settings: &Settings) -> Result<ShardConfig, Refusal> {
    let mut secret = [0; 8];
    let random = SystemRandom::new().fill(&mut secret);
    random.map_err(|_| "the system gives no random numbers".to_owned())?;
    let (media, nat) = (&settings.media, &settings.nat);
    Ok(ShardConfig {
        id: 0,
        sockets: Vec::new(),
        ice_lite: nat.ice_lite,
        hangup_on_failed: nat.hangup_on_failed,
        consent_freshness: nat.ice_consent_freshness,
        min_nack_queue: Duration::from_millis(media.min_nack_queue_ms.into()),
        twcc_period: Duration::from_millis(media.twcc_period_ms.into()),
        no_media: Duration::from_secs(media.no_media_timer_s.into()),
        slow_link_losses: media.slowlink_threshold,
        busy_poll: Duration::ZERO,
        coalescing: Coalescing {
            up_to_us: settings.datapath.coalesce_us,
            from_permille: settings.datapath.coalesce_load_percent * 10,
        },
        plain: settings.general.no_webrtc_encryption,
        secret: u64::from_be_bytes(secret),
    })
}

fn dtls_settings(settings: &Settings) -> DtlsSettings {
    let defaults = DtlsSettings::default();
    let certificates = &settings.certificates;
    DtlsSettings {
        ciphers: certificates.dtls_ciphers.clone().unwrap_or(defaults.ciphers),
        accept_self_signed: certificates.dtls_accept_selfsigned,
        mtu: settings.media.dtls_mtu_bytes,
        retransmission: Duration::from_millis(settings.media.dtls_timeout_ms.into()),
        ..defaults
    }
}

/// The certificate of the files, or one of our own making.
fn certificate(settings: &Settings) -> Result<Certificate, Refusal> {
    let files = &settings.certificates;
    let (Some(pem), Some(key)) = (&files.cert_pem, &files.cert_key) else {
        if files.cert_pem.is_some() || files.cert_key.is_some() {
            return Err("cert_pem and cert_key have to be given together".to_owned());
        }
        let kind = if files.rsa_private_key { KeyKind::Rsa2048 } else { KeyKind::EcP256 };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_s = i64::try_from(now.as_secs()).unwrap_or_default();
        return Certificate::self_signed(kind, now_s)
            .map_err(|error| format!("a certificate cannot be made: {error}"));
    };
    let read = |path: &String| std::fs::read(path).map_err(|error| format!("{path}: {error}"));
    let password = files.cert_pwd.as_deref();
    Certificate::from_pem(&read(pem)?, &read(key)?, password)
        .map_err(|error| format!("{pem}, {key}: {error}"))
}
