//! The hand-written backward passes in burn's autodiff graph.

use burn::backend::{
    Autodiff, AutodiffBackend, Flex, TensorMetadata,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, NodeGuard, Ops, OpsKind},
    },
    ops::FloatTensorOps,
    tensor::FloatTensor,
};
use burn::tensor::DType;

use super::{
    BlockOps, BlockSpec, Group, Maybe, composed,
    flex::{ConvolveGradients, ConvolveStep, NormStep, TanhStep, Values, Wanted, is_ours, vector},
    weights::WeightUse,
};

type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// A tensor's values, if there are any, and its place in the graph; what is absent has a place that asks for nothing.
fn split<C: CheckpointStrategy>(tensor: Maybe<Autodiff<Flex, C>>) -> (Option<Values>, NodeGuard) {
    match tensor {
        Maybe::Given(tensor) => {
            let (values, node) = tensor.into_parts();
            (Some(values), node)
        }
        Maybe::Absent => (None, constant::<C>(vector(Vec::new())).node()),
    }
}

fn constant<C: CheckpointStrategy>(values: Values) -> Tracked<C> {
    <Autodiff<Flex, C> as AutodiffBackend>::from_inner(values)
}

fn register(gradients: &mut Gradients, node: Option<NodeId>, values: Option<Values>) {
    if let (Some(node), Some(values)) = (node, values) {
        gradients.register::<Flex>(node, values);
    }
}

#[derive(Debug)]
struct Convolve;

impl Backward<Flex, 4> for Convolve {
    type State = ConvolveStep;

    fn backward(self, ops: Ops<ConvolveStep, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [x, skip, weight, bias] = ops.parents.map(|parent| parent.map(|node| node.id));
        let wanted = Wanted { x: x.is_some(), skip: skip.is_some(), weight: weight.is_some(), bias: bias.is_some() };
        let found = ops.state.backward(gradient, wanted);
        let ConvolveGradients { x: of_x, skip: of_skip, weight: of_weight, bias: of_bias } = found;
        register(gradients, x, of_x);
        register(gradients, skip, of_skip);
        register(gradients, weight, of_weight);
        register(gradients, bias, of_bias);
    }
}

#[derive(Debug)]
struct Normalise;

impl Backward<Flex, 3> for Normalise {
    type State = NormStep;

    fn backward(self, ops: Ops<NormStep, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let nodes = ops.parents.map(|parent| parent.map(|node| node.id));
        let found = ops.state.backward(gradient);
        for (node, values) in nodes.into_iter().zip(found) {
            register(gradients, node, Some(values));
        }
    }
}

#[derive(Debug)]
struct Tanh;

impl Backward<Flex, 1> for Tanh {
    type State = TanhStep;

    fn backward(self, ops: Ops<TanhStep, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [x] = ops.parents.map(|parent| parent.map(|node| node.id));
        register(gradients, x, Some(ops.state.backward(gradient)));
    }
}

impl<C: CheckpointStrategy> BlockOps for Autodiff<Flex, C> {
    fn block_convolve(
        x: FloatTensor<Self>,
        skip: Maybe<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        spec: BlockSpec,
        weights: WeightUse,
    ) -> FloatTensor<Self> {
        if !is_ours(x.primitive(), weight.primitive()) {
            return composed::convolve::<Self>(x, skip.into_option(), weight, bias.into_option(), spec);
        }
        let (x, of_x) = x.into_parts();
        let (skip, of_skip) = split(skip);
        let (weight, of_weight) = weight.into_parts();
        let (bias, of_bias) = split(bias);
        let step = ConvolveStep::new(x, skip, weight, spec, weights);
        let result = step.forward(bias);
        match Convolve.prepare::<C>([of_x, of_skip, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                step.expect_backward();
                prepared.finish(step, result)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(result),
        }
    }

    fn block_tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.primitive().dtype() != DType::F32 {
            return Self::float_tanh(x);
        }
        let (x, of_x) = x.into_parts();
        let (result, step) = TanhStep::forward(x);
        match Tanh.prepare::<C>([of_x]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(step, result),
            OpsKind::UnTracked(prepared) => prepared.finish(result),
        }
    }

    fn block_normalise(
        x: FloatTensor<Self>,
        gain: Maybe<Self>,
        offset: Maybe<Self>,
        group: Group,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if x.dtype() != DType::F32 {
            return composed::normalise::<Self>(x, gain.into_option(), offset.into_option(), group);
        }
        let (x, of_x) = x.into_parts();
        let (gain, of_gain) = split(gain);
        let (offset, of_offset) = split(offset);
        let (result, step) = NormStep::forward(x, gain, offset, group);
        let [mean, variance] = step.statistics.clone().map(|values| constant::<C>(vector(values)));
        let result = match Normalise.prepare::<C>([of_x, of_gain, of_offset]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(step, result),
            OpsKind::UnTracked(prepared) => prepared.finish(result),
        };
        (result, mean, variance)
    }
}
