//! Every instruction set of this machine gives the same networks. In a process of its own: the choice is the whole process's.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, Tolerance},
};
use pix2pix_core::{
    kernels::Simd,
    networks::{DropoutSeed, Mode, NormKind, UnetConfig},
};

/// Fake and gradient of the source.
fn run(norm: NormKind) -> [TensorData; 2] {
    let device = Device::flex().autodiff();
    let config = UnetConfig { depth: 6, width: 10, norm, ..Default::default() };
    let unet = config.init(1, &device).expect("a valid network");
    let values = (0..2 * 3 * 64 * 128).map(|at| ((at * 7919 % 2003) as f32 / 1001.5) - 1.0).collect::<Vec<_>>();
    let source = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 64, 128]), &device).require_grad();
    let fake = unet.forward(source.clone(), Mode::training(DropoutSeed(3)));
    let gradients = fake.clone().square().sum().backward();
    let gradient = source.grad(&gradients).expect("tracked");
    drop(unet.no_grad());
    [fake.into_data(), gradient.into_data()]
}

#[test]
fn every_instruction_set_gives_the_same_network() {
    for norm in [NormKind::Batch, NormKind::Instance] {
        let mut results = Vec::new();
        for level in [Simd::Portable, Simd::Wide, Simd::Widest] {
            level.limit();
            assert_eq!(Simd::current(), level.min(Simd::best()));
            results.push(run(norm));
        }
        for other in &results[1..] {
            results[0][0].assert_approx_eq::<f32>(&other[0], Tolerance::absolute(2e-3));
            let most = results[0][1].iter::<f32>().fold(0.0_f32, |most, x| most.max(x.abs()));
            results[0][1].assert_approx_eq::<f32>(&other[1], Tolerance::absolute(most * 2e-2));
        }
    }
}
