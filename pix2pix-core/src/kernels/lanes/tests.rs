use super::*;

/// Everything that vectors do, on values that a test knows.
struct Everything<'a>(&'a mut Vec<Vec<f32>>);

impl Work for Everything<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let input = (0..512).map(|at| (at % 37) as f32 - 17.5).collect::<Vec<_>>();
        let mut out = vec![0.0; 16 * 16 + 7];
        // SAFETY: all places lie within the vectors.
        unsafe {
            for at in (0..16).step_by(L::COUNT) {
                let (a, b) = (L::load(input.as_ptr().add(at)), L::load(input.as_ptr().add(40 + at)));
                let all = [
                    a.add(b),
                    a.sub(b),
                    a.mul(b),
                    a.div(b),
                    a.mul(a).sqrt(),
                    a.max(b),
                    a.mul_add(b, L::splat(0.5)),
                    a.select_positive(b, L::splat(-3.0)),
                ];
                for (number, value) in all.into_iter().enumerate() {
                    value.store(out.as_mut_ptr().add(number * 16 + at));
                }
            }
            self.0.push(out.clone());
            for count in 0..=L::COUNT {
                let mut part = vec![9.0; L::COUNT];
                L::load_first(input.as_ptr(), count).store(part.as_mut_ptr());
                assert_eq!(part[..count], input[..count]);
                assert!(part[count..].iter().all(|&x| x == 0.0));
                let mut part = vec![9.0; L::COUNT];
                L::load(input.as_ptr()).store_first(part.as_mut_ptr(), count);
                assert_eq!(part[..count], input[..count]);
                assert!(part[count..].iter().all(|&x| x == 9.0));
                let columns = L::load_columns(input.as_ptr(), 19, count);
                for (number, column) in columns.into_iter().enumerate() {
                    let mut values = vec![9.0; L::COUNT];
                    column.store(values.as_mut_ptr());
                    for (row, value) in values.into_iter().enumerate() {
                        assert_eq!(value, if row < count { input[row * 19 + number] } else { 0.0 });
                    }
                }
                let mut back = vec![9.0; 19 * L::COUNT];
                L::store_columns(columns, back.as_mut_ptr(), 19, count);
                for (at, value) in back.into_iter().enumerate() {
                    let written = at % 19 < 16 && at / 19 < count;
                    assert_eq!(value, if written { input[at] } else { 9.0 });
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_computes_the_same() {
    let mut found = Vec::new();
    // SAFETY: plain arrays need no instructions of their own.
    unsafe { Everything(&mut found).run::<Plain>() };
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        if Simd::best() >= Simd::Wide {
            // SAFETY: the processor was asked.
            unsafe { x86::run_avx2(Everything(&mut found)) };
        }
        if Simd::best() >= Simd::Widest {
            // SAFETY: as above.
            unsafe { x86::run_avx512(Everything(&mut found)) };
        }
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    if Simd::best() >= Simd::Wide {
        // SAFETY: the processor was asked.
        unsafe { neon::run_neon(Everything(&mut found)) };
    }
    for other in &found[1..] {
        for (a, b) in found[0].iter().zip(other) {
            assert!((a - b).abs() <= a.abs() * 1e-6, "{a} and {b}");
        }
    }
}
