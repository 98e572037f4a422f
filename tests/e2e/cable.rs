//! A cable between the home and a server over TCP, that can be pulled out: everything on it is reset at once, as when a
//! line goes down, and nobody gets through until it is in again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// A cable.
pub struct Cable {
    /// Where the near end is.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_out: AtomicBool,
    connections: AtomicUsize,
    sockets: Mutex<Vec<Weak<TcpStream>>>,
}

impl Cable {
    /// Lays it to a server.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if !shared.is_out.load(Ordering::SeqCst)
                    && let Ok(far) = TcpStream::connect(server)
                {
                    shared.join(near, far);
                }
            }
        });
        Self { address, state }
    }

    /// Pulls it out.
    pub fn pull(&self) {
        self.state.is_out.store(true, Ordering::SeqCst);
        let sockets = std::mem::take(&mut *self.state.sockets.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            // What is closed so is reset (SO_LINGER 0), as soon as those who read from it have noticed.
            rustix::net::sockopt::set_socket_linger(&*socket, Some(Duration::ZERO)).expect("an option of sockets");
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    /// Puts it in again.
    pub fn plug(&self) {
        self.state.is_out.store(false, Ordering::SeqCst);
    }

    /// How many connections there have been on it.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl State {
    fn join(self: &Arc<Self>, near: TcpStream, far: TcpStream) {
        let (near, far) = (Arc::new(near), Arc::new(far));
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.extend([&near, &far].map(Arc::downgrade));
        self.connections.fetch_add(1, Ordering::SeqCst);
        for (from, to) in [(near.clone(), far.clone()), (far, near)] {
            let state = self.clone();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(len @ 1..) = (&*from).read(&mut buffer) {
                    if (&*to).write_all(&buffer[..len]).is_err() {
                        break;
                    }
                }
                if !state.is_out.load(Ordering::SeqCst) {
                    let _ = to.shutdown(Shutdown::Write);
                }
            });
        }
    }
}
