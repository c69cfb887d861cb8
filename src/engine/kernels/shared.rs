//! A slice that several threads write.

use std::marker::PhantomData;

/// A slice shared by the workers of a pool. The phase determines which worker accesses which elements.
pub struct Shared<T> {
    start: *mut T,
    len: usize,
    kind: PhantomData<T>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}
// SAFETY: elements are accessed only through `slice`, and its callers guarantee exclusive access. So at most one thread
// at a time uses a `T`, which is `Send`.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The elements of `slice`. The result carries no lifetime: see [`Self::slice`].
    pub fn new(slice: &mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            kind: PhantomData,
        }
    }

    /// `len` elements from `start`. Panics if they are out of range.
    ///
    /// # Safety
    /// The storage is still in place and stays there for `'a`. During `'a` no other thread writes those elements, and
    /// none reads them if they are written through the result.
    #[inline]
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(
            start <= self.len && len <= self.len - start,
            "outside of the shared slice"
        );
        // SAFETY: the range was just checked; the caller guarantees that the storage exists and who accesses it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
