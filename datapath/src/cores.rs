//! Which cores the process may use, how many shards fit on them, and pinning a thread.
//!
//! Everything stays inside the affinity mask the process was started with (`taskset`, cgroups,
//! `CPUAffinity=`): it is the operator's word. Start-up only; no cost afterwards.

use core_affinity::CoreId;

/// A logical CPU number as the kernel counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Core(pub usize);

/// The cores in this thread's affinity mask, ascending; empty if the kernel would not say.
///
/// Ask before the first [`pin`], which narrows the mask of the thread that calls it.
pub fn allowed() -> Vec<Core> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    let mut cores: Vec<Core> = ids.into_iter().map(|id| Core(id.id)).collect();
    cores.sort_unstable();
    cores
}

/// Binds the calling thread to `core`; false if the kernel refused (the core is offline or
/// outside the cpuset), and then the thread runs where it ran before.
pub fn pin(core: Core) -> bool {
    // core_affinity indexes a kernel mask of CPU_SETSIZE bits and panics past its end.
    core.0 < libc::CPU_SETSIZE as usize && core_affinity::set_for_current(CoreId { id: core.0 })
}

/// How many shards to run: as configured, else one for each allowed core but the one left to
/// control, and always at least one (design section 4, placement).
pub fn shards_for(allowed_cores: usize, configured: Option<usize>) -> usize {
    configured.unwrap_or(allowed_cores.saturating_sub(1)).max(1)
}

/// The core of shard `shard`: the allowed cores from the second on, around and around when
/// there are more shards than cores. The first stays control's unless it is the only one.
/// `None` when no core is known.
pub fn core_of(shard: usize, allowed: &[Core]) -> Option<Core> {
    let (&first, media) = allowed.split_first()?;
    let around = shard.checked_rem(media.len()).and_then(|at| media.get(at));
    Some(around.copied().unwrap_or(first))
}

/// Whether each shard has a core that neither control nor another shard runs on.
pub fn alone(shards: usize, allowed: &[Core]) -> bool {
    let mut taken = Vec::with_capacity(shards + 1);
    taken.extend(allowed.first().copied());
    (0..shards).all(|shard| {
        core_of(shard, allowed).is_some_and(|core| {
            let free = !taken.contains(&core);
            taken.push(core);
            free
        })
    })
}

/// User and system time that the calling thread has used.
pub fn cpu_time() -> std::time::Duration {
    let mut spent = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec that lives on the stack.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spent) };
    std::time::Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::{Core, allowed, alone, core_of, pin, shards_for};

    #[test]
    fn shards_leave_one_core_to_control() {
        assert_eq!(shards_for(0, None), 1);
        assert_eq!(shards_for(1, None), 1);
        assert_eq!(shards_for(2, None), 1);
        assert_eq!(shards_for(16, None), 15);
        assert_eq!(shards_for(2, Some(6)), 6);
        assert_eq!(shards_for(2, Some(0)), 1);
    }

    #[test]
    fn shards_go_round_the_media_cores() {
        let cores = [Core(2), Core(4), Core(5)];
        let placed: Vec<_> = (0..4).map(|shard| core_of(shard, &cores)).collect();
        assert_eq!(placed, [Some(Core(4)), Some(Core(5)), Some(Core(4)), Some(Core(5))]);
        assert_eq!(core_of(3, &[Core(7)]), Some(Core(7)));
        assert_eq!(core_of(0, &[]), None);
    }

    #[test]
    fn shards_are_alone_where_nobody_shares_a_core() {
        let cores = [Core(0), Core(4), Core(5)];
        assert!(alone(2, &cores));
        assert!(!alone(3, &cores), "two on one core");
        assert!(!alone(1, &[Core(0)]), "with control");
        assert!(!alone(1, &[Core(3), Core(3)]), "as was configured");
        assert!(!alone(1, &[]), "not pinned");
    }

    #[test]
    fn a_pinned_thread_sees_only_its_core() {
        std::thread::spawn(|| {
            let last = *allowed().last().expect("a thread runs somewhere");
            assert!(pin(last));
            assert_eq!(allowed(), [last]);
            assert!(!pin(Core(1 << 20)), "no machine has this core");
            assert_eq!(allowed(), [last]);
        })
        .join()
        .unwrap();
    }
}
