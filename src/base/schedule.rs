//! What is to be done next: an indexed heap of deadlines and a ring of objects with something to send.
//!
//! Objects are named by small numbers ("tasks") below `N`. Each has at most one deadline, its earliest, and stands at
//! most once in the ready ring, so neither can overflow, and finding the next thing never scans the tables.

use crate::base::time::Instant;
use heapless::Vec;

/// Deadlines and readiness of `N` tasks.
pub struct Schedule<const N: usize> {
    heap: Vec<Entry, N>,
    /// Where each task stands in the heap, plus one.
    position: [u16; N],
    ring: [u16; N],
    head: usize,
    waiting: usize,
    is_ready: [bool; N],
}

#[derive(Clone, Copy)]
struct Entry {
    deadline: Instant,
    task: u16,
}

impl<const N: usize> Schedule<N> {
    /// Nothing to do.
    pub const fn new() -> Self {
        assert!(N < u16::MAX as usize);
        Self { heap: Vec::new(), position: [0; N], ring: [0; N], head: 0, waiting: 0, is_ready: [false; N] }
    }

    /// Sets, moves or takes away the deadline of a task.
    pub fn set_deadline(&mut self, task: usize, deadline: Option<Instant>) {
        match (self.position[task], deadline) {
            (0, None) => {}
            (0, Some(deadline)) => {
                let entry = Entry { deadline, task: task as u16 };
                if self.heap.push(entry).is_err() {
                    unreachable!("each task is in the heap at most once");
                }
                self.rise(self.heap.len() - 1);
            }
            (position, None) => self.take(usize::from(position) - 1),
            (position, Some(deadline)) => {
                let at = usize::from(position) - 1;
                self.heap[at].deadline = deadline;
                self.sink(at);
                self.rise(usize::from(self.position[task]) - 1);
            }
        }
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// Takes the task whose deadline is the earliest, if that has come by `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let first = *self.heap.first().filter(|entry| entry.deadline <= now)?;
        self.take(0);
        Some(usize::from(first.task))
    }

    /// Notes that a task has something to send. Once is enough until it is popped.
    pub fn wake(&mut self, task: usize) {
        if !self.is_ready[task] {
            self.is_ready[task] = true;
            self.ring[(self.head + self.waiting) % N] = task as u16;
            self.waiting += 1;
        }
    }

    /// Takes the task that has waited longest to send.
    pub fn pop_ready(&mut self) -> Option<usize> {
        if self.waiting == 0 {
            return None;
        }
        let task = usize::from(self.ring[self.head]);
        self.head = (self.head + 1) % N;
        self.waiting -= 1;
        self.is_ready[task] = false;
        Some(task)
    }

    /// Number of tasks that wait to send.
    pub const fn ready(&self) -> usize {
        self.waiting
    }

    /// Number of tasks with a deadline.
    pub fn deadlines(&self) -> usize {
        self.heap.len()
    }

    fn take(&mut self, at: usize) {
        let removed = self.heap.swap_remove(at);
        self.position[usize::from(removed.task)] = 0;
        if at < self.heap.len() {
            let moved = usize::from(self.heap[at].task);
            self.position[moved] = at as u16 + 1;
            self.sink(at);
            self.rise(usize::from(self.position[moved]) - 1);
        }
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].deadline <= self.heap[at].deadline {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
        self.position[usize::from(self.heap[at].task)] = at as u16 + 1;
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let Some(entry) = self.heap.get(left) else { break };
            let right = self.heap.get(left + 1).filter(|right| right.deadline < entry.deadline);
            let child = if right.is_some() { left + 1 } else { left };
            if self.heap[at].deadline <= self.heap[child].deadline {
                break;
            }
            self.swap(at, child);
            at = child;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.position[usize::from(self.heap[a].task)] = a as u16 + 1;
        self.position[usize::from(self.heap[b].task)] = b as u16 + 1;
    }
}

impl<const N: usize> Default for Schedule<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_against_a_model() {
        let mut schedule: Schedule<40> = Schedule::new();
        let mut model: [Option<Instant>; 40] = [None; 40];
        let mut state = 1u32;
        for round in 0..20_000u64 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let task = (state >> 8) as usize % 40;
            let deadline = (state & 3 != 0).then(|| Instant::from_millis(round + u64::from(state >> 24)));
            schedule.set_deadline(task, deadline);
            model[task] = deadline;
            if state & 15 == 0 {
                let now = Instant::from_millis(round);
                while let Some(due) = schedule.pop_due(now) {
                    let deadline = model[due].take().unwrap();
                    assert!(deadline <= now && model.iter().flatten().all(|other| *other >= deadline));
                }
            }
            assert_eq!(schedule.next_deadline(), model.iter().flatten().min().copied());
            assert_eq!(schedule.deadlines(), model.iter().flatten().count());
        }
    }

    #[test]
    fn ready_in_order_and_once() {
        let mut schedule: Schedule<3> = Schedule::new();
        for task in [2, 0, 2, 1, 0] {
            schedule.wake(task);
        }
        assert_eq!(schedule.pop_ready(), Some(2));
        schedule.wake(2);
        assert_eq!([0; 3].map(|_| schedule.pop_ready()), [Some(0), Some(1), Some(2)]);
        assert_eq!(schedule.pop_ready(), None);
    }
}
