//! How ranks find each other, and how they part.

use super::groups::Groups;
use super::{Backend, CURRENT, Dist, Options, World};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::torch::bridge::dist::{Store, init_log};
use crate::torch::cuda_is_available;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// Between two looks at the store.
const TICK: Duration = Duration::from_millis(500);
/// How long ranks wait for the others to part.
const PART: Duration = Duration::from_secs(30);
/// How long the store may take for one answer by then.
const ANSWER: Duration = Duration::from_secs(4);

/// What ranks say of themselves when they have come.
#[derive(Debug, Serialize, Deserialize)]
struct Card {
    version: String,
    build: String,
    pid: u32,
}

/// Joins the job: meets the other ranks at the store of rank 0, or of torchrun's agent. While it waits there is nothing to save: the first
/// signal ends the process.
///
/// # Errors
/// `E0801` when they do not come in time, or the port is in use; `E0803` when a rank runs another Lathe.
pub fn join(world: World, mut options: Options) -> Result<&'static Dist> {
    if let Some(d) = CURRENT.get() {
        return Ok(d);
    }
    let _at_once = interrupt::at_once();
    init_log();
    if options.backend == Backend::Auto {
        options.backend = if cuda_is_available() { Backend::Nccl } else { Backend::Gloo };
    }
    let place = format!("{}:{}", world.address, world.port);
    let cannot = |e: Error| {
        let why = if world.serves { "or the port is in use" } else { "or rank 0 is not there yet, or cannot be reached" };
        Error::join(format!("rank {} cannot join the others at {place}: {e}", world.rank))
            .help(format!("a rank may be missing, {why}; MASTER_ADDR and MASTER_PORT say where they meet, `--dist-iface` at which interface each listens, `--dist-join-timeout` how long they wait"))
    };
    let store = meet(&world, options.join_timeout).map_err(cannot)?;
    let groups = Groups::meet(&store, &world, &options, 0).map_err(cannot)?;
    let d = Dist {
        world,
        options,
        store,
        groups: RwLock::new(Arc::new(groups)),
        waits: AtomicU64::new(0),
        averages: AtomicU64::new(0),
        trials: AtomicU64::new(0),
    };
    let d = CURRENT.get_or_init(|| d);
    greet(d)?;
    Ok(d)
}

/// The store that the ranks of this attempt share. torchrun's agent keeps one over all restarts, with the addresses of dead processes in
/// it, and its count of restarts may differ between machines: so ranks agree on a fresh prefix. Rank 0 offers one; the others answer with a
/// number of their own; it counts when rank 0 has listed those, which an offer of an earlier attempt never does.
fn meet(world: &World, wait: Duration) -> Result<Store> {
    let end = Instant::now() + wait;
    let left = || end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let (first, _) = Store::tcp(&world.address, world.port, world.serves, wait)?;
    let store = first.within("lathe")?;
    let own = uuid()?;
    let late = || Error::lost(format!("not all of {} ranks came within {} s", world.size, wait.as_secs()));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let offer = loop {
        if Instant::now() > end {
            return Err(late());
        }
        if world.rank == 0 {
            store.set("offer", own.as_bytes())?;
            let mut answers = Vec::new();
            for rank in 1..world.size {
                answers.push(text(store.get(&format!("{own}/{rank}"), left()).map_err(|_| missing(&store, &own, world))?));
            }
            store.set(&format!("{own}/all"), answers.join(" ").as_bytes())?;
            break own;
        }
        let Ok(offer) = store.get("offer", TICK.min(left())).map(text) else {
            // Of a store that died this tells.
            store.has("offer")?;
            std::thread::sleep(TICK / 10);
            continue;
        };
        store.set(&format!("{offer}/{}", world.rank), own.as_bytes())?;
        if store.get(&format!("{offer}/all"), TICK.min(left())).is_ok_and(|all| text(all).split(' ').any(|n| n == own)) {
            break offer;
        }
    };
    let joined = first.within(&format!("lathe/{offer}"))?;
    // Where it serves it must outlive everything that is said through it.
    std::mem::forget((first, store));
    Ok(joined)
}

/// Which ranks have not answered.
fn missing(store: &Store, offer: &str, world: &World) -> Error {
    let silent: Vec<String> = (1..world.size).filter(|r| !store.has(&format!("{offer}/{r}")).unwrap_or(false)).map(|r| r.to_string()).collect();
    let what = if silent.len() == 1 { "rank" } else { "ranks" };
    Error::lost(format!("of {} ranks {what} {} did not come in time", world.size, silent.join(", ")))
}

/// A name that no other process has.
fn uuid() -> Result<String> {
    Ok(crate::files::read_text(std::path::Path::new("/proc/sys/kernel/random/uuid"))?.trim().to_owned())
}

/// Ranks say who they are: another version would train another model.
fn greet(d: &Dist) -> Result<()> {
    let card = Card { version: env!("CARGO_PKG_VERSION").into(), build: build(), pid: std::process::id() };
    let text = serde_json::to_vec(&card).map_err(|e| Error::join(e.to_string()))?;
    let all = d.gather(&text)?;
    let cards = all.iter().map(|c| serde_json::from_slice(c).map_err(|e| Error::join(e.to_string()))).collect::<Result<Vec<Card>>>()?;
    for (rank, other) in cards.iter().enumerate() {
        if (&other.version, &other.build) != (&cards[0].version, &cards[0].build) {
            let of = |c: &Card| format!("Lathe {} on libtorch {}", c.version, c.build);
            return Err(Error::disagree(format!("rank {rank} is {}, rank 0 {}", of(other), of(&cards[0])))
                .help("all ranks must run the same program: look at PATH and LD_LIBRARY_PATH of each machine"));
        }
    }
    tracing::debug!(ranks = d.world.size, launcher = d.world.launcher, restarts = d.world.restarts, pid = card.pid, "joined");
    Ok(())
}

/// The libtorch of this process, as far as it decides about numbers.
fn build() -> String {
    crate::torch::bridge::build_info().map(|b| b.version.unwrap_or(b.compiled)).unwrap_or_default()
}

/// Waits until all ranks are done, or have failed: the store of rank 0 is needed until then.
pub fn leave() {
    let Some(d) = super::current() else { return };
    // What was to be done is done, whoever is gone by now.
    let _ = d.post(format!("left/{}", d.world.rank), b"1".to_vec(), ANSWER);
    let end = Instant::now() + PART;
    while d.world.rank == 0 && !interrupt::pending() && Instant::now() < end {
        let missing = |r: usize| Ok(d.peek(format!("left/{r}"), ANSWER)?.is_none() && d.peek(format!("failed/{r}"), ANSWER)?.is_none());
        match (1..d.world.size).map(missing).collect::<Result<Vec<bool>>>() {
            Ok(missing) if missing.contains(&true) => std::thread::sleep(Duration::from_millis(20)),
            _ => break,
        }
    }
}
