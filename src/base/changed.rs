//! Which slots of a table have changed since somebody last asked: each once, oldest change first.

use heapless::Deque;

/// The slots of a table with `N` that have changed.
pub struct Changed<const N: usize> {
    order: Deque<u16, N>,
    is_in: [bool; N],
}

impl<const N: usize> Changed<N> {
    /// None.
    pub const fn new() -> Self {
        const { assert!(N < 65_535) };
        Self { order: Deque::new(), is_in: [false; N] }
    }

    /// Notes a change.
    pub fn mark(&mut self, index: usize) {
        if let Some(is_in) = self.is_in.get_mut(index)
            && !core::mem::replace(is_in, true)
        {
            // There is room for every slot once.
            let _ = self.order.push_back(index as u16);
        }
    }

    /// Notes that every slot may have changed.
    pub fn mark_all(&mut self) {
        (0..N).for_each(|index| self.mark(index));
    }

    /// Takes the one that has waited longest.
    pub fn pop(&mut self) -> Option<usize> {
        let index = usize::from(self.order.pop_front()?);
        self.is_in[index] = false;
        Some(index)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl<const N: usize> Default for Changed<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_in_order() {
        let mut changed = Changed::<3>::new();
        [2, 0, 2, 7].into_iter().for_each(|index| changed.mark(index));
        assert_eq!((changed.len(), changed.pop(), changed.pop(), changed.pop()), (2, Some(2), Some(0), None));
        changed.mark(1);
        changed.mark_all();
        assert_eq!(
            (changed.pop(), changed.pop(), changed.pop(), changed.is_empty()),
            (Some(1), Some(0), Some(2), true)
        );
    }
}
