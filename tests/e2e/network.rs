//! A small internet of network namespaces: a home, a router that translates addresses, and a phone behind it.

use crate::harness::find;
use std::path::Path;
use std::process::Command;
use std::thread;

/// A command that runs in a network namespace, or in ours. What is started by it ends with the test, even if that is
/// killed. Every program on the way replaces itself by the next, so the process id is the last one's.
pub fn command(namespace: Option<&str>, program: &Path) -> Command {
    let mut command = Command::new(find("setpriv"));
    command.args(["--pdeathsig", "KILL", "--"]);
    if let Some(namespace) = namespace {
        command.arg(find("ip")).args(["netns", "exec", namespace]);
    }
    command.arg(program);
    command
}

/// Three namespaces: `home` (10.77.0.1) - `router` (10.77.0.2, 192.168.77.1) - `phone` (192.168.77.2). The router
/// gives each flow a port of its own (symmetric), lets nothing in that was not asked for, and forgets a UDP flow after
/// 30 s without a packet.
pub struct Natted {
    /// The server's side.
    pub home: String,
    /// The router.
    pub router: String,
    /// The phone's side.
    pub phone: String,
}

impl Natted {
    /// Address of the server's side.
    pub const HOME: &'static str = "10.77.0.1";
    /// Address of the router towards the home.
    pub const ROUTER: &'static str = "10.77.0.2";
    /// Address of the phone.
    pub const PHONE: &'static str = "192.168.77.2";

    /// Makes it; it goes with the value.
    pub fn new() -> Self {
        let name = |part| format!("pcsd-e2e-{}-{part}", std::process::id());
        let net = Self { home: name("home"), router: name("router"), phone: name("phone") };
        let Self { home, router, phone } = &net;
        for namespace in [home, router, phone] {
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        ip(&format!("-n {router} link add wan type veth peer name eth netns {home}"));
        ip(&format!("-n {router} link add lan type veth peer name eth netns {phone}"));
        for (namespace, device, address) in [
            (home, "eth", Self::HOME),
            (router, "wan", Self::ROUTER),
            (router, "lan", LAN),
            (phone, "eth", Self::PHONE),
        ] {
            ip(&format!("-n {namespace} addr add {address}/24 dev {device}"));
            ip(&format!("-n {namespace} link set {device} up"));
        }
        ip(&format!("-n {phone} route add default via {LAN}"));
        for rule in [
            "add table ip nat",
            "add chain ip nat out { type nat hook postrouting priority 100 ; }",
            "add rule ip nat out oifname \"wan\" masquerade random,fully-random",
            "add table ip guard",
            "add chain ip guard pass { type filter hook forward priority 0 ; policy drop ; }",
            "add rule ip guard pass iifname \"lan\" accept",
            "add rule ip guard pass ct state established,related accept",
        ] {
            run(command(Some(router), &find("nft")).arg(rule));
        }
        // The timeouts are there once the kernel tracks connections for the rules above.
        for setting in [
            "net.ipv4.ip_forward=1",
            "net.netfilter.nf_conntrack_udp_timeout=30",
            "net.netfilter.nf_conntrack_udp_timeout_stream=30",
        ] {
            run(command(Some(router), &find("sysctl")).args(["-q", "-w", setting]));
        }
        net
    }
}

impl Drop for Natted {
    fn drop(&mut self) {
        for namespace in [&self.home, &self.router, &self.phone] {
            let status = Command::new(find("ip")).args(["netns", "del", namespace]).status();
            if !status.is_ok_and(|status| status.success()) && !thread::panicking() {
                println!("the network namespace {namespace} stays behind");
            }
        }
    }
}

fn ip(words: &str) {
    run(Command::new(find("ip")).args(words.split(' ')));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} (as root?): {errors}");
}

const LAN: &str = "192.168.77.1";
