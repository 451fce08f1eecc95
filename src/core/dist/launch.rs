//! Who this process is among others, as its launcher says in variables of the environment; and where a launcher wants to read of a failure.
//!
//! Four kinds of variables are known, and the first kind that is set counts: PyTorch's own (`torchrun`, `lathe run --nproc`, or written by
//! hand), Open MPI's (`mpirun`), those of PMI (`mpiexec` of MPICH and Intel MPI), and SLURM's (`srun`). An empty variable counts as unset.

use crate::error::{Error, Result};
use crate::files;
use std::path::Path;

/// The variable by which a process knows that `lathe run --nproc` started it: its value is then [`NPROC`].
pub const LAUNCHED: &str = "LATHE_LAUNCHED";
/// The value of [`LAUNCHED`], and the name of that launcher in [`World::launcher`].
pub const NPROC: &str = "nproc";

/// More processes than any job has: a number above is a mistake.
const MOST_RANKS: usize = 65_536;
/// PyTorch's port, where neither the user nor a job's number gives another.
const PORT: u16 = 29_500;
/// The ports of SLURM jobs: below those that systems give to outgoing connections (from 32768), so that none is taken by chance.
const FIRST_JOB_PORT: u16 = 12_000;
/// How many ports the jobs share.
const JOB_PORTS: usize = 16_000;

/// Set by `srun` alone, for the tasks that it starts. `SLURM_PROCID` and `SLURM_NTASKS` are also there in the shell of an `sbatch` script.
const STEP_TASKS: &str = "SLURM_STEP_NUM_TASKS";
/// The machines of the tasks that one `srun` started.
const STEP_HOSTS: &str = "SLURM_STEP_NODELIST";
/// All machines of the job.
const JOB_HOSTS: &str = "SLURM_JOB_NODELIST";
/// What to do without an address, or with a wrong one.
const ADDRESS_HELP: &str =
    "set MASTER_ADDR to the machine of rank 0, the same for all ranks: `export MASTER_ADDR=HOST`, or `mpirun -x MASTER_ADDR=HOST ..`";
/// The same for ports.
const PORT_HELP: &str = "set MASTER_PORT to a port that is free on the machine of rank 0, the same for all ranks: `export MASTER_PORT=29500`";

/// A process's place among those that work on one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// This process's number among all, from 0.
    pub rank: usize,
    /// How many processes there are.
    pub size: usize,
    /// This process's number among those of its machine, from 0; its GPU is `cuda:LOCAL_RANK`. Where nobody says it, it is the rank if the
    /// address is this machine's own, as all ranks are here then, and else 0: who writes `RANK` and `MASTER_ADDR` by hand and no
    /// `LOCAL_RANK` starts one process on each machine, and PyTorch's scripts take 0 then as well.
    pub local_rank: usize,
    /// How many of the processes are on this machine. Where nobody says it: all, if the address is this machine's own, else as many as the
    /// local rank tells of.
    pub local_size: usize,
    /// The machine of the store at which all meet, by name or number.
    pub address: String,
    /// The port of the store.
    pub port: u16,
    /// Whether this process serves the store: rank 0, unless torchrun's agent does it already.
    pub serves: bool,
    /// `torchrun` (also for PyTorch's variables written by hand), `nproc`, `mpirun`, `mpiexec` or `srun`.
    pub launcher: &'static str,
    /// How often the launcher has started the job again.
    pub restarts: u32,
}

/// The variables of one kind of launcher.
struct Kind {
    launcher: &'static str,
    rank: &'static str,
    size: &'static str,
    local_rank: &'static str,
    local_size: &'static str,
}

/// The first kind that is set counts: a launcher may run inside of the next one, as torchrun does inside of srun.
const KINDS: [Kind; 4] = [
    Kind { launcher: "torchrun", rank: "RANK", size: "WORLD_SIZE", local_rank: "LOCAL_RANK", local_size: "LOCAL_WORLD_SIZE" },
    Kind {
        launcher: "mpirun",
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    Kind { launcher: "mpiexec", rank: "PMI_RANK", size: "PMI_SIZE", local_rank: "MPI_LOCALRANKID", local_size: "MPI_LOCALNRANKS" },
    Kind { launcher: "srun", rank: "SLURM_PROCID", size: STEP_TASKS, local_rank: "SLURM_LOCALID", local_size: "SLURM_NTASKS_PER_NODE" },
];

impl Kind {
    /// What to do about variables that contradict each other.
    fn help(&self) -> String {
        format!("start every process with `{}`, or unset {} and {} to run one process alone", self.launcher, self.rank, self.size)
    }
}

/// What the launcher says of this process; `get` reads a variable of the environment. `None`: it is alone, which includes a world of one
/// process, unless PyTorch's variables say so (`torchrun --nproc-per-node 1` is meant to try the whole machinery).
///
/// # Errors
/// `E0101` for variables of which only half is there, that contradict each other or are no numbers, and where nothing tells at which
/// machine the processes meet.
pub fn world(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<World>> {
    let variables = Variables(get);
    for kind in &KINDS {
        if kind.launcher == "srun" && variables.text(STEP_TASKS).is_none() {
            continue;
        }
        let Some((rank, size)) = variables.place(kind)? else { continue };
        if size == 1 && kind.launcher != "torchrun" {
            return Ok(None);
        }
        return variables.world(kind, rank, size).map(Some);
    }
    Ok(None)
}

/// The environment.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// A variable that is set and not empty.
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    /// A variable that is a number from 0.
    fn number(&self, name: &str, help: &str) -> Result<Option<usize>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = |_| Error::usage(format!("the variable `{name}={text}` is no whole number from 0")).help(help);
        text.parse::<usize>().map(Some).map_err(wrong)
    }

    /// Rank and size, if variables of this kind are there.
    fn place(&self, kind: &Kind) -> Result<Option<(usize, usize)>> {
        let help = kind.help();
        let wrong = |message: String| Err(Error::usage(message).help(help.as_str()));
        let half = |there: &str, missing: &str| wrong(format!("the variable `{there}` is set, and `{missing}` is missing"));
        match (self.number(kind.rank, &help)?, self.number(kind.size, &help)?) {
            (None, None) => Ok(None),
            (Some(_), None) => half(kind.rank, kind.size),
            (None, Some(_)) => half(kind.size, kind.rank),
            (Some(_), Some(size)) if size > MOST_RANKS => wrong(format!("`{}={size}` is more than {MOST_RANKS} processes", kind.size)),
            (Some(rank), Some(size)) if rank >= size => wrong(format!("`{}={rank}` is not below `{}={size}`", kind.rank, kind.size)),
            (Some(rank), Some(size)) => Ok(Some((rank, size))),
        }
    }

    /// The rest of it.
    fn world(&self, kind: &Kind, rank: usize, size: usize) -> Result<World> {
        let (local_rank, local_size) = self.told(kind, size)?;
        let address = self.address(size, local_size)?;
        let all_here = is_loopback(&address);
        let local_rank = local_rank.unwrap_or(if all_here { rank } else { 0 });
        let local_size = local_size.unwrap_or(if all_here { size } else { local_rank + 1 });
        if local_rank >= local_size || local_size > size {
            let message = format!(
                "`{}={local_rank}`, `{}={local_size}` and `{}={size}` contradict each other: each must be below or within the next",
                kind.local_rank, kind.local_size, kind.size
            );
            return Err(Error::usage(message).help(kind.help()));
        }
        let is_nproc = kind.launcher == "torchrun" && self.text(LAUNCHED).as_deref() == Some(NPROC);
        Ok(World {
            rank,
            size,
            local_rank,
            local_size,
            address,
            port: self.port()?,
            // Python writes it so: `str(True)`.
            serves: rank == 0 && self.text("TORCHELASTIC_USE_AGENT_STORE").as_deref() != Some("True"),
            launcher: if is_nproc { NPROC } else { kind.launcher },
            restarts: self.number("TORCHELASTIC_RESTART_COUNT", &kind.help())?.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        })
    }

    /// Whether the tasks of the step of srun that this process is in are the processes of the job. They are not where `mpirun` has srun
    /// start one daemon on each machine, whose children see the step of the daemons.
    fn is_step_of(&self, size: usize) -> bool {
        self.text(STEP_TASKS).and_then(|n| n.parse::<usize>().ok()) == Some(size)
    }

    /// The number of this process on its machine, and how many are there, as far as variables say it.
    fn told(&self, kind: &Kind, size: usize) -> Result<(Option<usize>, Option<usize>)> {
        let help = kind.help();
        let is_step = self.is_step_of(size);
        let mut rank = self.number(kind.local_rank, &help)?;
        if rank.is_none() && is_step {
            rank = self.number("SLURM_LOCALID", &help)?;
        }
        // The tasks on this machine one by one. SLURM_NTASKS_PER_NODE is what was asked for, if anything was, and the last machine may have
        // fewer, so it comes second and is no more than a guess.
        let tasks = self.text("SLURM_GTIDS").filter(|_| is_step).map(|list| list.split(',').count());
        let count = match kind.launcher {
            "srun" => tasks.or(self.number(kind.local_size, &help)?.map(|n| n.min(size))),
            _ => self.number(kind.local_size, &help)?.or(tasks),
        };
        Ok((rank, count.or((size == 1).then_some(1))))
    }

    /// The machine of rank 0.
    fn address(&self, size: usize, local_size: Option<usize>) -> Result<String> {
        if let Some(address) = self.text("MASTER_ADDR") {
            return Ok(address);
        }
        // The step's own machines, if these processes are the step. Those of another one need not begin with rank 0's, and differ between
        // machines: see `is_step_of`.
        let lists = if self.is_step_of(size) { [STEP_HOSTS, JOB_HOSTS] } else { [JOB_HOSTS, STEP_HOSTS] };
        if let Some((name, list)) = lists.into_iter().find_map(|name| Some((name, self.text(name)?))) {
            return first_host(&list).map_err(|e| e.context(format!("the variable `{name}`")));
        }
        if local_size == Some(size) {
            return Ok("127.0.0.1".to_owned());
        }
        Err(Error::usage("`MASTER_ADDR` is not set, and nothing else tells on which machine rank 0 is").help(ADDRESS_HELP))
    }

    /// The port of the store: jobs of one machine must not meet at the same.
    fn port(&self) -> Result<u16> {
        if let Some(port) = self.number("MASTER_PORT", PORT_HELP)? {
            let wrong = || Error::usage(format!("`MASTER_PORT={port}` is no port from 1 to 65535")).help(PORT_HELP);
            return u16::try_from(port).ok().filter(|p| *p > 0).ok_or_else(wrong);
        }
        Ok(self.number("SLURM_JOB_ID", PORT_HELP)?.map_or(PORT, |job| FIRST_JOB_PORT + (job % JOB_PORTS) as u16))
    }
}

/// Whether an address is every machine's name for itself.
fn is_loopback(address: &str) -> bool {
    address == "localhost" || address == "::1" || address.starts_with("127.")
}

/// The first machine of a list as SLURM writes it: `node003` of `node[003-005,9],gpu1`, `rack1n01` of `rack[1-2]n[01-04]`.
///
/// # Errors
/// `E0101` for what is no such list.
pub fn first_host(list: &str) -> Result<String> {
    let wrong = || Error::usage(format!("`{list}` is no list of machines")).help(ADDRESS_HELP);
    let (mut host, mut rest) = (String::new(), list.trim());
    loop {
        let (name, tail) = rest.split_at(rest.find([',', '[', ']']).unwrap_or(rest.len()));
        host.push_str(name);
        let Some(numbers) = tail.strip_prefix('[') else {
            // The end, or the comma before the next one.
            return if host.is_empty() || tail.starts_with(']') { Err(wrong()) } else { Ok(host) };
        };
        let (numbers, after) = numbers.split_once(']').ok_or_else(&wrong)?;
        let first = numbers.split([',', '-']).next().unwrap_or_default();
        if first.is_empty() || !first.chars().all(char::is_alphanumeric) {
            return Err(wrong());
        }
        host.push_str(first);
        rest = after;
    }
}

/// Tells torchrun why this process fails, in the file that it named for that: it shows the earliest failure of all ranks as the root cause.
/// Nothing is done without such a file.
pub fn report_failure(message: &str) {
    let Some(path) = std::env::var_os("TORCHELASTIC_ERROR_FILE").filter(|p| !p.is_empty()) else { return };
    // The process is about to end with this very message on stderr. That a copy of it cannot be written must not take its place; torchrun
    // then says that it knows no more than the exit code.
    let _ = write_failure(Path::new(&path), message);
}

fn write_failure(path: &Path, message: &str) -> Result<()> {
    files::write(path, failure(message, files::unix_time() as u64).to_string())
}

/// The form of torch/distributed/elastic/multiprocessing/errors/error_handler.py. What torchrun prints as the traceback is `py_callstack`, so the
/// text is there as well; the time is seconds since 1970, as text.
fn failure(message: &str, seconds: u64) -> serde_json::Value {
    serde_json::json!({ "message": { "message": message, "extraInfo": { "py_callstack": message, "timestamp": seconds.to_string() } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Option<World>> {
        world(&|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    /// The variables on top of others; of two with one name the first counts.
    fn over<'a>(first: &[(&'a str, &'a str)], then: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [first, then].concat()
    }

    fn the(set: &[(&str, &str)]) -> World {
        read(set).unwrap().unwrap()
    }

    /// Message and help of what must fail.
    fn refused(set: &[(&str, &str)]) -> String {
        let e = read(set).unwrap_err();
        assert_eq!((e.code(), e.exit_code()), ("E0101", 2));
        format!("{e}; {}", e.help_text().expect("a remedy"))
    }

    const TORCHRUN: &[(&str, &str)] = &[
        ("RANK", "5"),
        ("WORLD_SIZE", "8"),
        ("LOCAL_RANK", "1"),
        ("LOCAL_WORLD_SIZE", "4"),
        ("MASTER_ADDR", "node1"),
        ("MASTER_PORT", "29400"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
        ("TORCHELASTIC_RESTART_COUNT", "2"),
    ];
    const MPIRUN: &[(&str, &str)] =
        &[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "2")];
    const MPIEXEC: &[(&str, &str)] = &[("PMI_RANK", "2"), ("PMI_SIZE", "3"), ("MPI_LOCALRANKID", "2"), ("MPI_LOCALNRANKS", "3")];
    /// Task 3 of 4 on the second of two machines.
    const SRUN: &[(&str, &str)] = &[
        ("SLURM_PROCID", "3"),
        ("SLURM_NTASKS", "9"),
        ("SLURM_STEP_NUM_TASKS", "4"),
        ("SLURM_LOCALID", "1"),
        ("SLURM_GTIDS", "2,3"),
        ("SLURM_STEP_NODELIST", "node[03-04]"),
        ("SLURM_JOB_NODELIST", "node[01-04]"),
        ("SLURM_JOB_ID", "4016007"),
    ];

    #[test]
    fn without_a_launcher_a_process_is_alone() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[("RANK", ""), ("WORLD_SIZE", " "), ("MASTER_ADDR", "node1"), ("MASTER_PORT", "x")]).unwrap(), None);
    }

    #[test]
    fn torchrun() {
        let want = World {
            rank: 5,
            size: 8,
            local_rank: 1,
            local_size: 4,
            address: "node1".into(),
            port: 29_400,
            serves: false,
            launcher: "torchrun",
            restarts: 2,
        };
        assert_eq!(the(TORCHRUN), want);
        let first = the(&over(&[("RANK", "0"), ("LOCAL_RANK", "0")], TORCHRUN));
        assert!(!first.serves, "the agent serves the store");
        assert!(the(&over(&[("RANK", "0"), ("LOCAL_RANK", "0"), ("TORCHELASTIC_USE_AGENT_STORE", "False")], TORCHRUN)).serves);
    }

    #[test]
    fn one_process_of_torchrun_is_a_world_and_one_of_others_is_none() {
        let one = the(&[("RANK", "0"), ("WORLD_SIZE", "1")]);
        assert_eq!((one.size, one.local_size, one.address.as_str(), one.port, one.serves), (1, 1, "127.0.0.1", 29_500, true));
        assert_eq!(read(&[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")]).unwrap(), None);
        assert_eq!(read(&[("PMI_RANK", "0"), ("PMI_SIZE", "1")]).unwrap(), None);
        assert_eq!(read(&[("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1")]).unwrap(), None);
    }

    #[test]
    fn variables_written_by_hand() {
        let by_hand = |address| the(&[("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", address)]);
        let far = by_hand("10.0.0.1");
        assert_eq!((far.local_rank, far.local_size, far.launcher, far.serves), (0, 1, "torchrun", false), "one process on each machine");
        for here in ["127.0.0.1", "localhost", "::1"] {
            assert_eq!((by_hand(here).local_rank, by_hand(here).local_size), (1, 2), "all ranks are on this machine");
        }
        let told = the(&[("RANK", "5"), ("WORLD_SIZE", "8"), ("MASTER_ADDR", "node1"), ("LOCAL_RANK", "3")]);
        assert_eq!((told.local_rank, told.local_size), (3, 4));
    }

    #[test]
    fn nproc() {
        let world = the(&over(&[("LATHE_LAUNCHED", "nproc"), ("MASTER_ADDR", "127.0.0.1")], TORCHRUN));
        assert_eq!((world.launcher, world.rank), ("nproc", 5));
        assert_eq!(the(&over(&[("LATHE_LAUNCHED", "nproc")], MPIRUN)).launcher, "mpirun");
    }

    #[test]
    fn mpirun_and_mpiexec() {
        let mpirun = the(MPIRUN);
        assert_eq!((mpirun.rank, mpirun.size, mpirun.local_rank, mpirun.local_size), (1, 2, 1, 2));
        assert_eq!((mpirun.address.as_str(), mpirun.port, mpirun.serves, mpirun.launcher), ("127.0.0.1", 29_500, false, "mpirun"));
        assert!(the(&over(&[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_LOCAL_RANK", "0")], MPIRUN)).serves);
        let mpiexec = the(MPIEXEC);
        assert_eq!((mpiexec.rank, mpiexec.size, mpiexec.local_rank, mpiexec.launcher), (2, 3, 2, "mpiexec"));
        let two_machines = over(&[("OMPI_COMM_WORLD_LOCAL_SIZE", "1"), ("OMPI_COMM_WORLD_LOCAL_RANK", "0")], MPIRUN);
        assert!(refused(&two_machines).contains("`MASTER_ADDR` is not set"));
        let told = the(&over(&[("MASTER_ADDR", "node1")], &two_machines));
        assert_eq!((told.address.as_str(), told.local_rank, told.local_size), ("node1", 0, 1));
    }

    #[test]
    fn srun() {
        let world = the(SRUN);
        assert_eq!((world.rank, world.size, world.local_rank, world.local_size), (3, 4, 1, 2));
        assert_eq!((world.address.as_str(), world.port, world.launcher), ("node03", 12_007, "srun"));
        let without_list = |set: &[(&'static str, &'static str)]| -> Vec<_> { set.iter().copied().filter(|(n, _)| *n != STEP_HOSTS).collect() };
        assert_eq!(the(&without_list(SRUN)).address, "node01");
        assert_eq!(the(&over(&[("MASTER_ADDR", "x"), ("MASTER_PORT", "7"), ("SLURM_JOB_ID", "y")], SRUN)).port, 7, "the job is not looked at");
        let asked = the(&over(&[("SLURM_GTIDS", ""), ("SLURM_NTASKS_PER_NODE", "8")], SRUN));
        assert_eq!(asked.local_size, 4, "no more than there are");
        assert_eq!(the(&over(&[("SLURM_GTIDS", "")], SRUN)).local_size, 2, "as many as the local rank tells of");
    }

    #[test]
    fn the_shell_of_a_slurm_job_is_no_task() {
        let shell: Vec<_> = SRUN.iter().copied().filter(|(n, _)| !n.starts_with("SLURM_STEP")).collect();
        assert_eq!(read(&shell).unwrap(), None);
        assert_eq!(read(&over(&[("SLURM_STEP_NUM_TASKS", "1"), ("SLURM_PROCID", "0")], &shell)).unwrap(), None, "srun --pty bash");
    }

    #[test]
    fn the_first_kind_counts() {
        let all = [TORCHRUN, MPIRUN, MPIEXEC, SRUN].concat();
        assert_eq!(the(&all).launcher, "torchrun");
        assert_eq!(the(&all[TORCHRUN.len()..]).launcher, "mpirun");
        assert_eq!(the(&all[TORCHRUN.len() + MPIRUN.len()..]).launcher, "mpiexec");
    }

    #[test]
    fn inside_of_a_slurm_job_the_machines_are_known() {
        // srun --mpi=pmi2: the ranks are the step, and PMI says nothing of machines.
        let pmi2 = the(&over(&[("PMI_RANK", "3"), ("PMI_SIZE", "4")], SRUN));
        assert_eq!((pmi2.launcher, pmi2.local_rank, pmi2.local_size, pmi2.address.as_str()), ("mpiexec", 1, 2, "node03"));
        // mpirun: the step is that of its daemons, on the other machines.
        let both = over(MPIRUN, SRUN);
        let mpirun = the(&over(&[(STEP_TASKS, "1"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "1"), ("OMPI_COMM_WORLD_LOCAL_RANK", "0")], &both));
        assert_eq!((mpirun.local_rank, mpirun.local_size, mpirun.address.as_str(), mpirun.port), (0, 1, "node01", 12_007));
    }

    #[test]
    fn half_of_two_is_refused() {
        assert!(refused(&[("RANK", "0")]).starts_with("the variable `RANK` is set, and `WORLD_SIZE` is missing; start every process with"));
        assert!(refused(&[("RANK", ""), ("WORLD_SIZE", "2")]).starts_with("the variable `WORLD_SIZE` is set, and `RANK` is missing"));
        assert!(refused(&[("PMI_SIZE", "2")]).contains("`PMI_RANK` is missing"));
        assert!(refused(&[("SLURM_STEP_NUM_TASKS", "2")]).contains("`SLURM_PROCID` is missing"));
    }

    #[test]
    fn wrong_numbers_are_refused_by_name() {
        for (name, value, want) in [
            ("RANK", "x", "`RANK=x` is no whole number"),
            ("WORLD_SIZE", "-1", "`WORLD_SIZE=-1` is no whole number"),
            ("RANK", "8", "`RANK=8` is not below `WORLD_SIZE=8`"),
            ("WORLD_SIZE", "0", "`RANK=5` is not below `WORLD_SIZE=0`"),
            ("WORLD_SIZE", "65537", "`WORLD_SIZE=65537` is more than 65536 processes"),
            ("LOCAL_RANK", "1.5", "`LOCAL_RANK=1.5` is no whole number"),
            ("LOCAL_RANK", "4", "`LOCAL_RANK=4`, `LOCAL_WORLD_SIZE=4` and `WORLD_SIZE=8` contradict each other"),
            ("LOCAL_WORLD_SIZE", "9", "`LOCAL_WORLD_SIZE=9` and `WORLD_SIZE=8` contradict each other"),
            ("MASTER_PORT", "0", "`MASTER_PORT=0` is no port"),
            ("MASTER_PORT", "65536", "`MASTER_PORT=65536` is no port"),
            ("MASTER_PORT", "http", "`MASTER_PORT=http` is no whole number"),
            ("TORCHELASTIC_RESTART_COUNT", "no", "`TORCHELASTIC_RESTART_COUNT=no` is no whole number"),
        ] {
            let text = refused(&over(&[(name, value)], TORCHRUN));
            assert!(text.contains(want), "{name}={value}: {text}");
        }
        assert!(refused(&over(&[("SLURM_JOB_ID", "a")], SRUN)).contains("`SLURM_JOB_ID=a` is no whole number"));
        let list = refused(&over(&[("SLURM_STEP_NODELIST", "node[1")], SRUN));
        assert!(list.starts_with("the variable `SLURM_STEP_NODELIST`: `node[1` is no list of machines; set MASTER_ADDR"), "{list}");
    }

    #[test]
    fn without_an_address_it_says_what_to_set() {
        let text = refused(&[("RANK", "1"), ("WORLD_SIZE", "2")]);
        assert!(text.contains("`MASTER_ADDR` is not set") && text.contains("export MASTER_ADDR=HOST"), "{text}");
        assert_eq!(the(&[("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")]).address, "127.0.0.1");
    }

    #[test]
    fn first_hosts() {
        for (list, want) in [
            ("node1", "node1"),
            ("node1,node2", "node1"),
            ("node[003-005,9],gpu1", "node003"),
            ("gpu1,node[003-005]", "gpu1"),
            ("gpu-node[7]", "gpu-node7"),
            ("rack[1-2]n[01-04]", "rack1n01"),
            ("rack[2,5]n[01-04].cluster.org,login", "rack2n01.cluster.org"),
            (" a1 ", "a1"),
        ] {
            assert_eq!(first_host(list).unwrap(), want, "{list}");
        }
        for list in ["", ",a", "node[", "node]1", "node[]", "node[-3]", "node[[1]]"] {
            assert_eq!(first_host(list).unwrap_err().code(), "E0101", "{list}");
        }
    }

    #[test]
    fn a_failure_has_the_form_that_torchrun_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("error.json");
        let text = "error[E0802]: rank 1 is lost\n  \"help\": \\";
        write_failure(&path, text).unwrap();
        let read: serde_json::Value = files::read_json(&path).unwrap();
        let message = &read["message"];
        assert_eq!((message["message"].as_str(), message["extraInfo"]["py_callstack"].as_str()), (Some(text), Some(text)));
        let seconds: u64 = message["extraInfo"]["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(seconds > 1_700_000_000, "seconds since 1970, as text: {seconds}");
    }
}
