//! Two network namespaces as two hosts: another address, a link that is cut, and torchrun's restarts across them. They need Linux, root and
//! `ip` of iproute2; where those are missing the tests say so and end.

use super::{assert_equal, ok, rank, saved, send, whole};
use crate::support::process::{LATHE, Place, parts, until};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Two namespaces with a link between them, gone when dropped.
struct Hosts([String; 2]);

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

impl Hosts {
    /// `None` where the system does not let us.
    fn new(name: &str) -> Option<Self> {
        let hosts = Hosts(["a", "b"].map(|side| format!("lathe-{name}-{}-{side}", std::process::id())));
        let [a, b] = &hosts.0;
        let made = ip(&["netns", "add", a])
            && ip(&["netns", "add", b])
            && ip(&["link", "add", "veth0", "netns", a, "type", "veth", "peer", "name", "veth0", "netns", b])
            && hosts.0.iter().zip(["10.91.0.1/24", "10.91.0.2/24"]).all(|(host, address)| {
                ip(&["-n", host, "addr", "add", address, "dev", "veth0"])
                    && ip(&["-n", host, "link", "set", "lo", "up"])
                    && ip(&["-n", host, "link", "set", "veth0", "up"])
            });
        if !made {
            println!("skipped: no network namespaces here (root and iproute2 are needed)");
        }
        made.then_some(hosts)
    }

    /// A command on one of them.
    fn on(&self, host: usize, command: &Command) -> Command {
        let mut c = Command::new("ip");
        c.args(["netns", "exec", &self.0[host]]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => c.env(name, value),
                None => c.env_remove(name),
            };
        }
        c.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        c
    }

    /// A rank on each of them.
    fn ranks(&self, place: &Place, args: &[&str]) -> [Child; 2] {
        [0, 1].map(|r| {
            let mut c = rank(place, r, 2, 29_500, &[&["run", "t.rhai", "--threads", "1", "--dist-iface", "veth0"][..], args].concat());
            c.env("MASTER_ADDR", "10.91.0.1").env("LOCAL_RANK", "0");
            self.on(r, &c).spawn().unwrap()
        })
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.0 {
            ip(&["netns", "del", host]);
        }
    }
}

#[test]
fn two_hosts_train_what_one_process_trains() {
    let Some(hosts) = Hosts::new("equal") else { return };
    let place = whole();
    for job in hosts.ranks(place, &["--exp-name", "hosts"]) {
        let (code, _, said) = parts(job.wait_with_output().unwrap());
        assert_eq!(code, 0, "{said}");
    }
    assert_equal(&place.path("exps/one"), &place.path("exps/hosts"), 1e-12);
}

#[test]
fn a_network_that_is_cut_ends_both_sides() {
    let Some(hosts) = Hosts::new("cut") else { return };
    let place = whole();
    let endless = ["--exp-name", "cut", "--pause", "0.02", "--steps", "100000", "--save-every", "1", "--dist-timeout", "4"];
    let jobs = hosts.ranks(place, &endless);
    until("checkpoints", 120, || place.path("exps/cut/checkpoints").is_dir() && saved(&place.path("exps/cut")).len() > 2);
    assert!(ip(&["-n", &hosts.0[1], "link", "set", "veth0", "down"]));
    let since = Instant::now();
    let ended = jobs.map(|job| parts(job.wait_with_output().unwrap()));
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    assert!(ended.iter().all(|(code, _, said)| *code == 75 && said.contains("error[E0802]")), "{ended:?}");
    assert!(ended[0].2.contains("rank 1 is gone, or hangs") && ended[1].2.contains("does not answer"), "{ended:?}");
}

/// `LATHE_TORCHRUN=/path/to/torchrun`, of a PyTorch 2.11: `make dist-test` makes one.
#[test]
fn torchrun_starts_a_killed_job_again_on_both_hosts() {
    let Some(torchrun) = std::env::var_os("LATHE_TORCHRUN") else {
        println!("skipped: LATHE_TORCHRUN does not name a torchrun");
        return;
    };
    let Some(hosts) = Hosts::new("restart") else { return };
    let place = whole();
    let agents = [0, 1].map(|host| {
        let (address, serves) = [("10.91.0.1", "is_host=true"), ("10.91.0.2", "is_host=false")][host];
        let mut c = Command::new(&torchrun);
        c.args(["--no-python", "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "10.91.0.1:29700"]);
        c.args(["--rdzv-id", "again", "--rdzv-conf", serves, "--max-restarts", "2", "--monitor-interval", "0.2", "--local-addr", address]);
        c.args([
            LATHE,
            "run",
            "t.rhai",
            "--exp-name",
            "again-torchrun",
            "--threads",
            "1",
            "--dist-iface",
            "veth0",
            "--save-every",
            "1",
            "--pause",
            "0.1",
        ]);
        c.env("OMP_NUM_THREADS", "1").current_dir(place.folder());
        hosts.on(host, &c).spawn().unwrap()
    });
    let run = place.path("exps/again-torchrun");
    until("checkpoints", 180, || run.join("checkpoints").is_dir() && saved(&run).len() > 3);
    // The worker of the second host: the only process with that rank and run.
    let worker = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let env = std::fs::read(entry.path().join("environ")).ok()?;
        let is_ours = line.starts_with(LATHE.as_bytes()) && line.split(|b| *b == 0).any(|a| a == b"again-torchrun");
        (is_ours && env.split(|b| *b == 0).any(|v| v == b"RANK=1")).then_some(pid)
    });
    send(worker.unwrap(), "-KILL");
    for agent in agents {
        let (code, _, said) = parts(agent.wait_with_output().unwrap());
        assert_eq!(code, 0, "{said}");
    }
    assert_equal(&place.path("exps/one"), &run, 1e-12);
    // The record of a job is trained again without torchrun.
    let said = ok(&mut place.command(&["replay", "exps/again-torchrun"]));
    assert!(said.contains("bit for bit"), "{said}");
}
