//! The draws of a batch that is shared among ranks, or taken in parts: each has its rows of what one process draws, and what else draws is noticed.

use crate::support::alone;
use lathe::error::Result;
use lathe::torch::bridge::manual_seed;
use lathe::torch::share::{Share, in_parts, set_share, take_moved, unshared};
use lathe::torch::{DType, Device, Tensor};

/// What a step draws: noise, times, classes, and something that is not of the batch.
fn step(rows: i64) -> Result<Vec<Vec<f64>>> {
    let x = Tensor::zeros(&[rows, 3, 4, 4], DType::Float, Device::Cpu)?;
    let last = x.permute(&[0, 2, 3, 1])?.contiguous()?.permute(&[0, 3, 1, 2])?;
    let turned = x.permute(&[0, 1, 3, 2])?;
    let draws = [
        Tensor::randn(&[rows, 5], DType::Float, Device::Cpu)?,
        Tensor::rand(&[rows], DType::Double, Device::Cpu)?,
        Tensor::randint(0, 1000, &[rows, 2], Device::Cpu)?,
        x.randn_like()?,
        last.randn_like()?,
        turned.randn_like()?,
        Tensor::rand(&[7], DType::Float, Device::Cpu)?,
    ];
    draws.iter().map(Tensor::to_vec_f64).collect()
}

#[test]
fn ranks_draw_the_rows_of_one_process() {
    alone(|| {
        manual_seed(3).unwrap();
        let one = step(6).unwrap();
        for size in [2usize, 3, 6] {
            for rank in 0..size {
                manual_seed(3).unwrap();
                let rows = 6 / size as i64;
                set_share(Some(Share { rank, size, rows })).unwrap();
                let mine = step(rows).unwrap();
                assert!(!take_moved().unwrap());
                set_share(None).unwrap();
                for (i, (one, mine)) in one.iter().zip(&mine).enumerate() {
                    let width = one.len() / 6;
                    let wanted: Vec<f64> = if i == 6 { one.clone() } else { one.chunks(width).skip(rank).step_by(size).flatten().copied().collect() };
                    assert_eq!(*mine, wanted, "draw {i}, rank {rank} of {size}");
                }
            }
        }
    })
}

#[test]
fn parts_draw_the_rows_of_the_whole_also_on_several_ranks() {
    alone(|| {
        manual_seed(3).unwrap();
        let next = || Tensor::rand(&[3], DType::Float, Device::Cpu).unwrap().to_vec_f64().unwrap();
        let (one, after) = (step(12).unwrap(), next());
        for (ranks, parts) in [(1usize, 2usize), (1, 12), (2, 3), (3, 2)] {
            for rank in 0..ranks {
                manual_seed(3).unwrap();
                let here = 12 / ranks as i64;
                set_share((ranks > 1).then_some(Share { rank, size: ranks, rows: here })).unwrap();
                let mine = in_parts(parts, here, false, |_| step(here / parts as i64)).unwrap();
                assert_eq!(next(), after, "what comes after is as after the whole");
                assert!(!take_moved().unwrap());
                set_share(None).unwrap();
                for (part, mine) in mine.iter().enumerate() {
                    for (i, (one, mine)) in one.iter().zip(mine).enumerate().filter(|(i, _)| *i != 6) {
                        let rows = one.chunks(one.len() / 12).skip(rank + ranks * part).step_by(ranks * parts);
                        assert_eq!(*mine, rows.flatten().copied().collect::<Vec<f64>>(), "draw {i}, part {part} of {parts}, rank {rank} of {ranks}");
                    }
                }
            }
        }
    })
}

#[test]
fn what_else_is_drawn_is_noticed() {
    alone(|| {
        set_share(Some(Share { rank: 0, size: 2, rows: 4 })).unwrap();
        Tensor::rand(&[4], DType::Float, Device::Cpu).unwrap();
        assert!(!take_moved().unwrap());
        Tensor::zeros(&[4], DType::Float, Device::Cpu).unwrap().uniform_(0.0, 1.0).unwrap();
        Tensor::rand(&[4], DType::Float, Device::Cpu).unwrap();
        assert!(take_moved().unwrap());
        unshared(|| Tensor::zeros(&[4], DType::Float, Device::Cpu)?.uniform_(0.0, 1.0)).unwrap();
        assert!(!take_moved().unwrap());
        set_share(None).unwrap();
    })
}
