//! Matrix product in float32 whose bits depend on nothing but the operands.
//!
//! Every output element is a chain of multiplications and additions in the order of the reduction
//! index, each rounded on its own (no fused multiply-add), so the instruction set, the blocking
//! and the number of threads cannot change a bit.

use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};

/// Rows of a register tile.
const ROWS: usize = 6;
/// Reduction steps packed at a time: a panel of them stays in the first cache.
const DEPTH: usize = 256;
/// Columns that a product of one row takes side by side.
const CHAINS: usize = 8;

/// Adds the product of `a` [M, K] and `b` [K, N] to `c` [M, N]:
/// `c[i][j] ← ((c[i][j] + a[i][0] · b[0][j]) + a[i][1] · b[1][j]) + …`
///
/// # Panics
///
/// If the three shapes do not agree.
#[allow(unsafe_code)]
pub fn gemm_f32(a: ArrayView2<f32>, b: ArrayView2<f32>, c: ArrayViewMut2<f32>) {
    assert_eq!((a.nrows(), b.ncols()), c.dim(), "shapes of a matrix product");
    assert_eq!(a.ncols(), b.nrows(), "reduction of a matrix product");
    if a.nrows() == 1 && b.strides()[0] == 1 {
        return one_row(a, b, c);
    }
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: this CPU has AVX-512F.
            return blocked(a, b, c, |a, b, c| unsafe { tile_avx512(a, b, c) });
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has AVX2.
            return blocked(a, b, c, |a, b, c| unsafe { tile_avx2(a, b, c) });
        }
    }
    blocked(a, b, c, tile::<8>)
}

/// A register tile of sums: `ROWS` rows of `N` columns.
type Tile<'a, const N: usize> = [&'a mut [f32; N]; ROWS];

/// Adds the products of the rows `a` and the packed columns `b`, step by step, to `sums`: the
/// specification of the vector ones.
fn tile<const N: usize>(a: [&[f32]; ROWS], b: &[[f32; N]], sums: Tile<N>) {
    for (row, a) in sums.into_iter().zip(a) {
        for (a, b) in a.iter().zip(b) {
            for (sum, b) in row.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
}

/// [`tile`] of two vectors' columns, its sums in registers. A multiplication and an addition, not
/// a fused one, so that the bits are those of the plain loop.
#[cfg(target_arch = "x86_64")]
macro_rules! vector_tile {
    ($name:ident, $feature:literal, $lanes:literal,
     $splat:ident, $load:ident, $store:ident, $multiply:ident, $add:ident) => {
        // Indices rather than iterators, so that the loops over rows unroll whatever is inlined.
        #[allow(unsafe_code, clippy::needless_range_loop)]
        #[target_feature(enable = $feature)]
        fn $name(a: [&[f32]; ROWS], b: &[[f32; 2 * $lanes]], sums: Tile<{ 2 * $lanes }>) {
            use std::arch::x86_64::*;
            let mut local = [[$splat(0.0); 2]; ROWS];
            for row in 0..ROWS {
                let (low, high) = sums[row].split_at($lanes);
                // SAFETY: both halves of the row hold a vector's lanes.
                local[row] = unsafe { [$load(low.as_ptr()), $load(high.as_ptr())] };
            }
            let a = a.map(|row| &row[..b.len()]);
            for step in 0..b.len() {
                let (low, high) = b[step].split_at($lanes);
                // SAFETY: both halves of the step hold a vector's lanes.
                let (low, high) = unsafe { ($load(low.as_ptr()), $load(high.as_ptr())) };
                for row in 0..ROWS {
                    let a = $splat(a[row][step]);
                    local[row][0] = $add(local[row][0], $multiply(a, low));
                    local[row][1] = $add(local[row][1], $multiply(a, high));
                }
            }
            for row in 0..ROWS {
                let (low, high) = sums[row].split_at_mut($lanes);
                // SAFETY: both halves of the row hold a vector's lanes.
                unsafe {
                    $store(low.as_mut_ptr(), local[row][0]);
                    $store(high.as_mut_ptr(), local[row][1]);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector_tile!(
    tile_avx512,
    "avx512f",
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_mul_ps,
    _mm512_add_ps
);
#[cfg(target_arch = "x86_64")]
vector_tile!(
    tile_avx2,
    "avx2",
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_mul_ps,
    _mm256_add_ps
);

/// Walks `c` by tiles, a block of the reduction at a time, with the columns of `b` packed in the
/// order in which the tile reads them. Rows and columns beyond the edge are zeros whose sums are
/// dropped.
fn blocked<const N: usize>(
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    mut c: ArrayViewMut2<f32>,
    tile: impl Fn([&[f32]; ROWS], &[[f32; N]], Tile<N>),
) {
    const ZEROS: [f32; DEPTH] = [0.0; DEPTH];
    let a = a.as_standard_layout();
    let mut packed = vec![[0.0; N]; a.ncols().min(DEPTH)];
    for start in (0..a.ncols()).step_by(DEPTH) {
        let depth = (a.ncols() - start).min(DEPTH);
        let packed = &mut packed[..depth];
        let a = a.slice(s![.., start..start + depth]);
        let b = b.slice(s![start..start + depth, ..]);
        for (b, mut c) in b.axis_chunks_iter(Axis(1), N).zip(c.axis_chunks_iter_mut(Axis(1), N)) {
            pack(b, packed);
            for (a, c) in
                a.axis_chunks_iter(Axis(0), ROWS).zip(c.axis_chunks_iter_mut(Axis(0), ROWS))
            {
                let mut rows = a.outer_iter();
                let rows = std::array::from_fn(|_| {
                    rows.next().and_then(|row| row.to_slice()).unwrap_or(&ZEROS[..depth])
                });
                add_tile(c, |sums| tile(rows, packed, sums));
            }
        }
    }
}

/// Copies `b` `[depth, ≤ N]` into `panel` `[depth][N]`, zeros beyond the last column.
fn pack<const N: usize>(b: ArrayView2<f32>, panel: &mut [[f32; N]]) {
    if b.ncols() < N {
        panel.fill([0.0; N]);
    }
    if b.strides()[1] == 1 {
        for (step, row) in panel.iter_mut().zip(b.outer_iter()) {
            copy(&row, step);
        }
    } else {
        for (lane, column) in b.columns().into_iter().enumerate() {
            for (step, &value) in panel.iter_mut().zip(column) {
                step[lane] = value;
            }
        }
    }
}

fn copy<const N: usize>(values: &ndarray::ArrayView1<f32>, to: &mut [f32; N]) {
    match values.as_slice() {
        // Of a length known in advance, which is most of them.
        Some(values) if values.len() == N => to.copy_from_slice(values),
        _ => to.iter_mut().zip(values).for_each(|(to, from)| *to = *from),
    }
}

/// Runs `add` on the sums of `c`: in place if it is a whole tile of contiguous rows.
fn add_tile<const N: usize>(mut c: ArrayViewMut2<f32>, add: impl FnOnce(Tile<N>)) {
    let whole = c.dim() == (ROWS, N) && c.strides()[1] == 1;
    let mut rows = c.outer_iter_mut();
    if whole {
        let row = |_| rows.next()?.into_slice()?.try_into().ok();
        let rows: [Option<&mut [f32; N]>; ROWS] = std::array::from_fn(row);
        return add(rows.map(|row| row.expect("a whole tile of contiguous rows")));
    }
    let mut sums = [[0.0; N]; ROWS];
    for (sums, row) in sums.iter_mut().zip(&mut rows) {
        copy(&row.view(), sums);
    }
    add(sums.each_mut());
    for (mut row, sums) in c.outer_iter_mut().zip(&sums) {
        row.iter_mut().zip(sums).for_each(|(to, from)| *to = *from);
    }
}

/// [`gemm_f32`] of one row where the columns of `b` are contiguous, so that packing them would cost
/// more than the product: some chains side by side, each in its order.
fn one_row(a: ArrayView2<f32>, b: ArrayView2<f32>, mut c: ArrayViewMut2<f32>) {
    let a = a.as_standard_layout();
    let a = a.as_slice().expect("standard layout");
    for (b, mut c) in
        b.axis_chunks_iter(Axis(1), CHAINS).zip(c.axis_chunks_iter_mut(Axis(1), CHAINS))
    {
        let mut columns = b.axis_iter(Axis(1));
        let columns: [&[f32]; CHAINS] = std::array::from_fn(|_| {
            columns.next().and_then(|column| column.to_slice()).unwrap_or(a)
        });
        let columns = columns.map(|column| &column[..a.len()]);
        let mut sums = [0.0; CHAINS];
        sums.iter_mut().zip(&c).for_each(|(sum, c)| *sum = *c);
        for (step, a) in a.iter().enumerate() {
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum += a * column[step];
            }
        }
        c.iter_mut().zip(sums).for_each(|(c, sum)| *c = sum);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn plain(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &Array2<f32>) -> Array2<f32> {
        Array2::from_shape_fn(c.dim(), |(i, j)| {
            (0..a.ncols()).fold(c[[i, j]], |sum, k| sum + a[[i, k]] * b[[k, j]])
        })
    }

    fn bits(c: &Array2<f32>) -> Vec<u32> {
        c.iter().map(|x| x.to_bits()).collect()
    }

    fn check(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &Array2<f32>) {
        let expected = bits(&plain(a, b, c));
        let run = |multiply: &dyn Fn(ArrayViewMut2<f32>)| {
            let mut c = c.clone();
            multiply(c.view_mut());
            assert_eq!(bits(&c), expected);
        };
        run(&|c| blocked(a, b, c, tile::<8>));
        run(&|c| gemm_f32(a, b, c));
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has AVX2.
            run(&|c| blocked(a, b, c, |a, b, c| unsafe { tile_avx2(a, b, c) }));
        }
    }

    fn matrix(rows: usize, columns: usize, seed: u32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            let hash = (i as u32 * 31 + j as u32 * 7 + seed).wrapping_mul(2_654_435_761);
            (hash >> 8) as f32 / 1e6 - 8.0
        })
    }

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_bits_of_the_plain_loop(
            m in 0usize..20, k in 0usize..600, n in 0usize..70, seed: u32,
        ) {
            let (a, b, c) = (matrix(m, k, seed), matrix(k, n, seed ^ 1), matrix(m, n, seed ^ 2));
            check(a.view(), b.view(), &c);
            let (a, b) = (matrix(k, m, seed), matrix(n, k, seed ^ 1));
            check(a.t(), b.t(), &c);
        }

        #[test]
        fn a_single_row_gives_the_bits_of_the_plain_loop(k in 0usize..70, n in 0usize..30, seed: u32) {
            let (a, b, c) = (matrix(1, k, seed), matrix(n, k, seed ^ 1), matrix(1, n, seed ^ 2));
            check(a.view(), b.t(), &c);
        }
    }

    #[test]
    fn sums_run_in_the_order_of_the_reduction() {
        // 2^24 + 1 is not a float32: each added one is rounded away, unless the ones come first.
        let big = 16_777_216.0;
        let product = |row: [f32; 3]| {
            let mut c = Array2::zeros((1, 1));
            let row = Array2::from_shape_vec((1, 3), row.to_vec()).unwrap();
            gemm_f32(row.view(), Array2::ones((3, 1)).view(), c.view_mut());
            c[[0, 0]]
        };
        assert_eq!(product([big, 1.0, 1.0]), big);
        assert_eq!(product([1.0, 1.0, big]), big + 2.0);
    }
}
