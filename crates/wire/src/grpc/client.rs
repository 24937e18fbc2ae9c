//! The client's side of a call: a `ModelInferRequest` to its bytes, a `ModelInferResponse` from
//! its own. The answer is as foreign as a request and read by the same reader.

use bartizan_core::{RefusalCode, Tensor, limits};
use bytes::Bytes;
use prost::Message;

use super::fields::{Fields, fault};
use super::parse::{check, draft, tensors, text};
use super::pb;
use crate::error::{Fault, Parsed, WireError};
use crate::oip::NAME_BYTES_MAX;
use crate::raw;
use crate::request::Limits;
use crate::upstream::Told;

/// Path of the call.
pub const INFER_PATH: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Bytes in front of a message.
const PREFIX_BYTES: usize = 5;

/// Appends the call for the answer of `model` to `inputs` to `out`, its prefix in front, values
/// raw.
pub fn render_call(model: &str, version: &str, inputs: &[Tensor], out: &mut Vec<u8>) {
    let tensors = inputs.iter().map(|input| pb::model_infer_request::InferInputTensor {
        name: input.name().to_owned(),
        datatype: input.datatype().as_str().to_owned(),
        shape: input.shape().iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect(),
        ..Default::default()
    });
    let raws = inputs.iter().map(|input| {
        let mut bytes = Vec::with_capacity(raw::len(input.values()));
        raw::write(input.values(), &mut bytes);
        Bytes::from(bytes)
    });
    let message = pb::ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        inputs: tensors.collect(),
        raw_input_contents: raws.collect(),
        ..Default::default()
    };
    out.push(0);
    let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&message.encode_to_vec());
}

/// Reads the one message of an answer, its prefix in front. Takes memory for what is there.
///
/// # Errors
/// [`WireError`] for the first thing that is wrong; never a value of it.
pub fn parse_called(body: &[u8], limits: &Limits) -> Result<Told, WireError> {
    Ok(parse(body, limits)?)
}

fn parse(body: &[u8], limits: &Limits) -> Parsed<Told> {
    let framed = body.split_first_chunk::<PREFIX_BYTES>();
    let message = match framed {
        Some(([0, length @ ..], message))
            if usize::try_from(u32::from_be_bytes(*length)) == Ok(message.len()) =>
        {
            message
        }
        Some(([1, ..], _)) => {
            let what = "the answer's message is compressed, although nobody asked for that";
            return Err(Fault::new(RefusalCode::Malformed, what));
        }
        Some(_) | None => return Err(fault("the answer is not one whole message")),
    };
    let (mut version, mut drafts, mut raws) = (None, Vec::new(), Vec::new());
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            2 => version = Some(text(payload, NAME_BYTES_MAX, "model_version")?),
            5 => {
                let item_idx = drafts.len();
                check(item_idx, limits::TENSORS_MAX, "outputs")?;
                let draft = draft(payload);
                drafts.push(draft.map_err(|f| f.within_item(item_idx).within("outputs"))?);
            }
            6 => {
                check(raws.len(), limits::TENSORS_MAX, "raw_output_contents")?;
                raws.push(payload.bytes().map_err(|f| f.within("raw_output_contents"))?);
            }
            _ => {}
        }
    }
    let outputs = tensors(drafts, &raws, limits)?;
    let version = version.filter(|text| !text.is_empty()).map(Into::into);
    Ok(Told { outputs, version })
}

#[cfg(test)]
mod tests {
    use bartizan_core::Values;

    use super::*;

    fn framed(message: &pb::ModelInferResponse) -> Vec<u8> {
        let bytes = message.encode_to_vec();
        [&[0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes].concat()
    }

    fn answer() -> pb::ModelInferResponse {
        pb::ModelInferResponse {
            model_version: "7".into(),
            outputs: vec![pb::model_infer_response::InferOutputTensor {
                name: "y".into(),
                datatype: "FP32".into(),
                shape: vec![2],
                ..Default::default()
            }],
            raw_output_contents: vec![Bytes::from_static(&[0, 0, 0, 63, 0, 0, 128, 63])],
            ..Default::default()
        }
    }

    #[test]
    fn a_call_is_read_by_our_own_server_and_its_answer_by_us() {
        let input = Tensor::new("x", vec![1, 2], Values::Fp32(vec![0.5, f32::NAN])).unwrap();
        let mut call = Vec::new();
        render_call("m", "3", std::slice::from_ref(&input), &mut call);
        let message = &call[PREFIX_BYTES..];
        let target = super::super::target(message).unwrap();
        assert_eq!((target.model, target.version), ("m", "3"));
        let read = super::super::parse_infer(message, &Limits::default()).unwrap();
        assert!(read.is_raw && format!("{:?}", read.request.inputs) == format!("{:?}", [input]));
        let told = parse_called(&framed(&answer()), &Limits::default()).unwrap();
        assert_eq!(told.version.as_deref(), Some("7"));
        assert_eq!(*told.outputs[0].values(), Values::Fp32(vec![0.5, 1.0]));
    }

    #[test]
    fn an_answer_that_is_cut_coded_or_of_other_lengths_is_none() {
        let good = framed(&answer());
        for cut in 0..good.len() {
            assert!(parse_called(&good[..cut], &Limits::default()).is_err(), "{cut}");
        }
        let longer = [&good[..], &[0]].concat();
        let coded = [&[1][..], &good[1..]].concat();
        let mut other = answer();
        other.outputs[0].shape = vec![3];
        let mut typed_too = answer();
        typed_too.outputs[0].contents =
            Some(pb::InferTensorContents { fp32_contents: vec![1.0; 2], ..Default::default() });
        let mut twice = answer();
        twice.raw_output_contents.push(Bytes::new());
        for wrong in [longer, coded, framed(&other), framed(&typed_too), framed(&twice)] {
            assert!(parse_called(&wrong, &Limits::default()).is_err());
        }
    }
}
