//! Tables in every form that people send, and every way in which they go wrong.

use bartizan_core::contract::{
    AnswerShape, Class, ContractFile, ExtraColumns, Feature, Input, Output, Role, Table,
};
use bartizan_core::{Contract, Datatype, RefusalCode, Tensor, Values};
use proptest::prelude::*;

use crate::azure_ml::{self, Manner};
use crate::table::{Method, Plan, parse_csv};
use crate::{Limits, WireError, kserve_v1, mlflow};

fn feature(name: &str) -> Feature {
    Feature { name: name.into(), ..Feature::default() }
}

fn input(name: &str, datatype: Datatype, shape: &[i64], features: &[&str]) -> Input {
    let features = features.iter().map(|name| feature(name)).collect();
    Input { name: name.into(), datatype, shape: shape.into(), features }
}

fn contract(inputs: Vec<Input>, table: Table) -> Contract {
    let output = |name: &str, datatype, shape: &[i64], role| Output {
        name: name.into(),
        datatype,
        shape: shape.into(),
        role,
    };
    let file = ContractFile {
        format: 1,
        description: String::new(),
        rows_max: Some(100),
        body_bytes_max: None,
        subject: None,
        classes: Vec::<Class>::new(),
        table,
        inputs,
        outputs: vec![
            output("label", Datatype::Int64, &[-1], Role::Label),
            output("probs", Datatype::Fp32, &[-1, 2], Role::Probabilities),
        ],
    };
    Contract::new(file, b"test").unwrap()
}

/// One matrix of two named columns.
fn matrix() -> Plan {
    let inputs = vec![input("X", Datatype::Fp32, &[-1, 2], &["a", "b"])];
    Plan::new(&contract(inputs, Table::default()))
}

/// One input a column, of three types.
fn columns(extra_columns: ExtraColumns) -> Plan {
    let inputs = vec![
        input("age", Datatype::Int64, &[-1], &[]),
        input("site", Datatype::Bytes, &[-1, 1], &["site"]),
        input("score", Datatype::Fp64, &[-1], &[]),
    ];
    Plan::new(&contract(inputs, Table { extra_columns, ..Table::default() }))
}

fn read(plan: &Plan, body: &str) -> Result<Vec<Tensor>, WireError> {
    mlflow::parse_invocation(body.as_bytes(), plan, &Limits::default()).map(|read| read.inputs)
}

fn csv(plan: &Plan, body: &str) -> Result<Vec<Tensor>, WireError> {
    parse_csv(body.as_bytes(), plan, &Limits::default()).map(|read| read.inputs)
}

fn fp32(tensor: &Tensor) -> &[f32] {
    let Values::Fp32(values) = tensor.values() else { panic!("{:?}", tensor.values()) };
    values
}

/// T1: names in any order, positions in the contract's, JSON keys in any order.
#[test]
fn every_form_of_a_table_gives_the_same_tensor() {
    let plan = matrix();
    for body in [
        r#"{"dataframe_split":{"columns":["a","b"],"data":[[1,2],[3,4]]}}"#,
        r#"{"dataframe_split":{"columns":["b","a"],"index":[7,8],"data":[[2,1],[4,3]]}}"#,
        r#"{"dataframe_split":{"data":[[2,1],[4,3]],"columns":["b","a"]},"params":{"x":1}}"#,
        r#"{"dataframe_split":{"data":[[1,2],[3,4]]}}"#,
        r#"{"dataframe_records":[{"a":1,"b":2},{"b":4.0,"a":3}]}"#,
        r#"{"instances":[[1,2],[3,4]]}"#,
        r#"{"instances":[{"X":[1,2]},{"X":[3,4]}]}"#,
        r#"{"inputs":[[1,2],[3,4]]}"#,
        r#"{"inputs":{"X":[[1,2],[3,4]]}}"#,
        r#"{"inputs":{"b":[2,4],"a":[[1],[3]]}}"#,
    ] {
        let tensors = read(&plan, body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(tensors.len(), 1, "{body}");
        assert_eq!(tensors[0].shape(), [2, 2], "{body}");
        assert_eq!(fp32(&tensors[0]), [1.0, 2.0, 3.0, 4.0], "{body}");
    }
    for body in ["a,b\n1,2\n3,4\n", "b,a\r\n2,1\r\n\r\n4,3", "\u{feff}\"a\",b\n\"1\",2.0\n+3, 4 "] {
        let tensors = csv(&plan, body).unwrap_or_else(|error| panic!("{body:?}: {error}"));
        assert_eq!(fp32(&tensors[0]), [1.0, 2.0, 3.0, 4.0], "{body:?}");
    }
}

#[test]
fn one_input_a_column_keeps_each_type() {
    let plan = columns(ExtraColumns::Refused);
    let bodies = [
        r#"{"dataframe_records":[{"site":"basel","score":null,"age":41.0}]}"#,
        r#"{"dataframe_split":{"columns":["score","age","site"],"data":[[null,41,"basel"]]}}"#,
        r#"{"inputs":{"age":[41],"site":["basel"],"score":[NaN]}}"#,
        r#"{"instances":[[41,"basel",null]]}"#,
    ];
    let from_csv = csv(&plan, "site,age,score\nbasel,41,\n").unwrap();
    for tensors in bodies.iter().map(|body| read(&plan, body).unwrap()).chain([from_csv]) {
        assert_eq!(*tensors[0].values(), Values::Int64(vec![41]));
        assert_eq!(*tensors[1].values(), Values::Bytes(vec![b"basel".to_vec()]));
        assert_eq!(tensors[1].shape(), [1, 1]);
        assert!(matches!(tensors[2].values(), Values::Fp64(values) if values[0].is_nan()));
    }
    let quoted = csv(&plan, "age,site,score\n1,\"a,\"\"b\"\"\r\nc\",1e3\n2,\"\",nan\n").unwrap();
    let sites = Values::Bytes(vec![b"a,\"b\"\r\nc".to_vec(), Vec::new()]);
    assert_eq!(*quoted[1].values(), sites);
}

#[test]
fn an_extra_column_is_refused_or_dropped_as_the_contract_says() {
    let bodies = [
        r#"{"dataframe_records":[{"age":1,"site":"x","score":2,"id":[{"deep":1}]}]}"#,
        r#"{"dataframe_split":{"columns":["id","age","site","score"],"data":[["q",1,"x",2]]}}"#,
        r#"{"inputs":{"id":["q"],"age":[1],"site":["x"],"score":[2]}}"#,
    ];
    for body in bodies {
        let error = read(&columns(ExtraColumns::Refused), body).unwrap_err();
        assert_eq!(error.code, RefusalCode::Mismatch, "{error}");
        assert!(error.message.contains("`age`") && !error.message.contains("id"), "{error}");
        let tensors = read(&columns(ExtraColumns::Dropped), body).unwrap();
        assert_eq!(*tensors[0].values(), Values::Int64(vec![1]), "{body}");
    }
    let rows = "id,age,site,score\nq,1,x,2\n";
    assert!(csv(&columns(ExtraColumns::Refused), rows).is_err());
    assert!(csv(&columns(ExtraColumns::Dropped), rows).is_ok());
}

/// Each body is refused with a message that names the place, and holds nothing of the body.
#[test]
fn what_is_no_table_is_told_with_its_place() {
    let (matrix, columns) = (matrix(), columns(ExtraColumns::Refused));
    let cases: [(&Plan, &str, &str); 22] = [
        (&matrix, "", "an object"),
        (&matrix, "[]", "an object"),
        (&matrix, "{}", "`dataframe_split`"),
        (&matrix, r#"{"instances":[[1,2]],"inputs":[[1,2]]}"#, "not several"),
        (&matrix, r#"{"instances":[[1,2]]} x"#, "after the document"),
        (&matrix, r#"{"instances":[[1]]}"#, "`instances[0]`"),
        (&matrix, r#"{"instances":[[1,2],[1,2,3]]}"#, "`instances[1]`"),
        (&matrix, r#"{"instances":[1,2]}"#, "expected a row"),
        (&matrix, r#"{"instances":[[1,"SECRET"]]}"#, "column `b`"),
        (&matrix, r#"{"instances":[[1,1e39]]}"#, "range"),
        (&matrix, r#"{"instances":[[[1,2]]]}"#, "a cell"),
        (&matrix, r#"{"dataframe_records":[{"a":1}]}"#, "column `b` is missing"),
        (&matrix, r#"{"dataframe_records":[{"a":1,"a":2,"b":1}]}"#, "`a` is there twice"),
        (&matrix, r#"{"dataframe_split":{"columns":["a","a"],"data":[]}}"#, "twice"),
        (&matrix, r#"{"dataframe_split":{"columns":["a"],"data":[]}}"#, "`b` is missing"),
        (&matrix, r#"{"dataframe_split":{"columns":["a","b"]}}"#, "`data` is missing"),
        (&matrix, r#"{"dataframe_split":{"columns":["a","b"],"data":[[1]]}}"#, "data[0]"),
        (&matrix, r#"{"inputs":{"a":[1],"b":[1,2]}}"#, "2 or more are here where 1"),
        (&columns, r#"{"instances":[[1.5,"x",1]]}"#, "a fraction"),
        (&columns, r#"{"instances":[[null,"x",1]]}"#, "column `age`"),
        (&columns, r#"{"instances":[[99999999999999999999,"x",1]]}"#, "range"),
        (&columns, r#"{"instances":[[1,null,1]]}"#, "column `site`"),
    ];
    for (plan, body, place) in cases {
        let error = read(plan, body).unwrap_err();
        assert!(error.message.contains(place), "{body}: {error}");
        assert!(!error.message.contains("SECRET"), "{body}: {error}");
    }
}

#[test]
fn tricks_of_csv_are_refused_with_their_line() {
    let plan = columns(ExtraColumns::Refused);
    let huge = format!("age,site,score\n1,{},2\n", "x".repeat(super::CSV_FIELD_BYTES_MAX + 1));
    let wide = "a,".repeat(super::CSV_COLUMNS_MAX + 1);
    let cases: [(&str, &str); 14] = [
        ("", "empty"),
        ("\n\n", "empty"),
        ("age,age,site,score\n", "`age` is there twice"),
        ("age,site\n1,x\n", "`score` is missing"),
        ("age,site,score\n1,x\n", "line 2: it has fewer"),
        ("age,site,score\n1,x,2\n1,x,2,3\n", "line 3: it has more"),
        ("age,site,score\n1,\"x,2\n", "a quote is not closed"),
        ("age,site,score\n1,x\"y,2\n", "line 2: a quote stands within"),
        ("age,site,score\n1,\"x\"y,2\n", "after a closing quote"),
        ("age,site,score\n1,x\0,2\n", "line 2: a NUL"),
        ("age,site,score\n1,x,two\n", "line 2, column `score`: it is not a number"),
        ("age,site,score\nNA,x,2\n", "line 2, column `age`: nothing is there"),
        ("age,site,score\n1,x,1e999\n", "range"),
        ("age,site,score\n1e3,,2\n", "line 2, column `site`"),
    ];
    let all = cases.into_iter().chain([(huge.as_str(), "65536 bytes"), (&wide, "16384 columns")]);
    for (body, place) in all {
        let error = csv(&plan, body).unwrap_err();
        assert!(error.message.contains(place), "{:.60}: {error}", body);
    }
    assert_eq!(
        csv(&plan, "age,site,score\n1e3,x,-inf\n").unwrap()[0].values(),
        &Values::Int64(vec![1000])
    );
}

/// T2: both sides of the contract's limit of rows, in each form.
#[test]
fn more_rows_than_the_contract_takes_are_too_large() {
    let plan = matrix();
    for (n_rows, fits) in [(100, true), (101, false)] {
        let rows = vec!["[1,2]"; n_rows].join(",");
        let records = vec![r#"{"a":1,"b":2}"#; n_rows].join(",");
        let cells = vec!["1"; n_rows].join(",");
        for body in [
            format!(r#"{{"instances":[{rows}]}}"#),
            format!(r#"{{"instances":[{records}]}}"#),
            format!(r#"{{"inputs":{{"X":[{rows}]}}}}"#),
            format!(r#"{{"inputs":{{"a":[{cells}],"b":[{cells}]}}}}"#),
        ] {
            let outcome = read(&plan, &body);
            assert_eq!(outcome.is_ok(), fits, "{n_rows} rows");
            if let Err(error) = outcome {
                assert_eq!(error.code, RefusalCode::TooLarge, "{error}");
            }
        }
        let body = format!("a,b\n{}", "1,2\n".repeat(n_rows));
        assert_eq!(csv(&plan, &body).is_ok(), fits);
    }
}

#[test]
fn unnamed_columns_go_by_position_and_never_by_a_foreign_name() {
    let inputs = vec![input("X", Datatype::Fp32, &[-1, 2], &[])];
    let plan = Plan::new(&contract(inputs, Table::default()));
    let by_number = r#"{"dataframe_split":{"columns":[1,0],"data":[[2,1]]}}"#;
    assert_eq!(fp32(&read(&plan, by_number).unwrap()[0]), [1.0, 2.0]);
    let by_name = r#"{"dataframe_split":{"columns":["p","q"],"data":[[2,1]]}}"#;
    let error = read(&plan, by_name).unwrap_err();
    assert!(error.message.contains("name the columns in the model's contract"), "{error}");
}

#[test]
fn tensors_of_more_dimensions_are_taken_nested_or_flat() {
    let inputs = vec![input("image", Datatype::Uint8, &[-1, 2, 2], &[])];
    let plan = Plan::new(&contract(inputs, Table::default()));
    for rows in ["[[[1,2],[3,4]]]", "[[1,2,3,4]]"] {
        let tensors = read(&plan, &format!(r#"{{"instances":{rows}}}"#)).unwrap();
        assert_eq!(tensors[0].shape(), [1, 2, 2]);
        assert_eq!(*tensors[0].values(), Values::Uint8(vec![1, 2, 3, 4]));
    }
    let open = vec![input("text", Datatype::Fp32, &[-1, -1], &[])];
    let plan = Plan::new(&contract(open, Table::default()));
    assert_eq!(read(&plan, r#"{"instances":[[1,2,3],[4,5,6]]}"#).unwrap()[0].shape(), [2, 3]);
    assert!(read(&plan, r#"{"instances":[[1,2,3],[4,5]]}"#).is_err());
}

#[test]
fn azure_ml_takes_what_its_templates_send() {
    let plan = matrix();
    let score = |body: &str| azure_ml::parse_score(body.as_bytes(), &plan, &Limits::default());
    let wrapped = Manner { is_wrapped: true, method: Method::Predict };
    let proba = Manner { is_wrapped: true, method: Method::Probabilities };
    for (body, manner) in [
        (r#"{"data":[[1,2]]}"#, Manner::default()),
        (r#"{"data":[{"b":2,"a":1}],"method":"predict"}"#, Manner::default()),
        (r#"{"input_data":{"columns":["b","a"],"index":[0],"data":[[2,1]]}}"#, Manner::default()),
        (r#"{"input_data":[[1,2]],"params":{}}"#, Manner::default()),
        (r#"{"input_data":{"a":[1],"b":[2]}}"#, Manner::default()),
        (r#"{"Inputs":{"data":[{"a":1,"b":2}]},"GlobalParameters":1.0}"#, wrapped),
        (r#"{"Inputs":{"WebServiceInput0":[{"a":1,"b":2}]},"GlobalParameters":{}}"#, wrapped),
        (r#"{"GlobalParameters":{"method":"predict_proba"},"Inputs":{"data":[[1,2]]}}"#, proba),
        ("[[1,2]]", Manner::default()),
    ] {
        let (request, found) = score(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!((fp32(&request.inputs[0]), found), (&[1.0, 2.0][..], manner), "{body}");
    }
    for body in [
        "{}",
        r#"{"data":[[1,2]],"input_data":[[1,2]]}"#,
        r#"{"Inputs":{"x":[[1,2]],"y":[[1,2]]}}"#,
        r#"{"Inputs":[[1,2]],"GlobalParameters":{"method":"exec"}}"#,
    ] {
        assert!(score(body).is_err(), "{body}");
    }
    let table = Table { rows_at: vec!["payload".into(), "rows".into()], ..Table::default() };
    let inputs = vec![input("X", Datatype::Fp32, &[-1, 2], &[])];
    let plan = Plan::new(&contract(inputs, table));
    let own = r#"{"meta":{"rows":1},"payload":{"rows":[[1,2]],"more":[]}}"#;
    assert!(azure_ml::parse_score(own.as_bytes(), &plan, &Limits::default()).is_ok());
    assert!(azure_ml::parse_score(b"{\"data\":[[1,2]]}", &plan, &Limits::default()).is_err());
}

#[test]
fn answers_have_the_shape_that_the_contract_names() {
    let outputs = [
        Tensor::new("label", vec![2], Values::Int64(vec![1, 0])).unwrap(),
        Tensor::new("probs", vec![2, 2], Values::Fp32(vec![0.25, 0.75, f32::NAN, 1.0])).unwrap(),
    ];
    let inputs = || vec![input("X", Datatype::Fp32, &[-1, 2], &[])];
    let both = Some(vec!["probs".to_owned(), "label".to_owned()]);
    let told = |table: Table, outputs: &[Tensor], manner: Manner| {
        let mut out = Vec::new();
        let contract = contract(inputs(), table);
        azure_ml::render_score(outputs, &contract, manner, &mut out).map(|()| out)
    };
    let text = |outcome: Result<Vec<u8>, WireError>| String::from_utf8(outcome.unwrap()).unwrap();
    let wrapped = Manner { is_wrapped: true, method: Method::Predict };
    let proba = Manner { is_wrapped: false, method: Method::Probabilities };
    assert_eq!(text(told(Table::default(), &outputs, Manner::default())), "[1,0]");
    assert_eq!(text(told(Table::default(), &outputs, wrapped)), r#"{"Results":[1,0]}"#);
    assert_eq!(text(told(Table::default(), &outputs, proba)), "[[0.25,0.75],[null,1.0]]");
    let keyed = Table { answer_key: Some("result".into()), ..Table::default() };
    assert_eq!(text(told(keyed, &outputs, wrapped)), r#"{"result":[1,0]}"#);
    let all = Table { outputs: both.clone(), ..Table::default() };
    let expected = r#"{"probs":[[0.25,0.75],[null,1.0]],"label":[1,0]}"#;
    assert_eq!(text(told(all, &outputs, Manner::default())), expected);
    let records = Table { outputs: both, answer: Some(AnswerShape::Records), ..Table::default() };
    let expected = r#"[{"probs":[0.25,0.75],"label":1},{"probs":[null,1.0],"label":0}]"#;
    assert_eq!(text(told(records, &outputs, Manner::default())), expected);
    // What may not be given is in no answer, and never stands in for something else.
    let refused = told(Table::default(), &outputs[..1], proba).unwrap_err();
    assert_eq!(refused.code, RefusalCode::Forbidden);
    assert_eq!(
        text(told(Table::default(), &outputs[1..], Manner::default())),
        "[[0.25,0.75],[null,1.0]]"
    );
}

#[test]
fn kserve_v1_takes_instances_or_inputs() {
    let plan = matrix();
    for body in [r#"{"instances":[[1,2]]}"#, r#"{"inputs":[[1,2]]}"#] {
        assert!(kserve_v1::parse_predict(body.as_bytes(), &plan, &Limits::default()).is_ok());
    }
    let split = br#"{"dataframe_split":{"data":[[1,2]]}}"#;
    assert!(kserve_v1::parse_predict(split, &plan, &Limits::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// T1: whatever the order of columns, values come back at their names.
    #[test]
    fn columns_map_by_name_in_any_order(
        order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle(),
        cells in prop::collection::vec(-1000_i32..1000, 5..40),
    ) {
        let names = ["p", "q", "r", "s", "t"];
        let inputs = vec![input("X", Datatype::Fp64, &[-1, 5], &names)];
        let plan = Plan::new(&contract(inputs, Table::default()));
        let rows: Vec<_> = cells.chunks_exact(5).collect();
        let line = |row: &[i32]| order.iter().map(|at| row[*at].to_string()).collect::<Vec<_>>().join(",");
        let header: Vec<_> = order.iter().map(|at| names[*at]).collect();
        let csv_body = format!("{}\n{}\n", header.join(","), rows.iter().map(|row| line(row)).collect::<Vec<_>>().join("\n"));
        let json_rows = rows.iter().map(|row| format!("[{}]", line(row))).collect::<Vec<_>>().join(",");
        let json = format!(r#"{{"dataframe_split":{{"columns":{header:?},"data":[{json_rows}]}}}}"#);
        let wanted = Values::Fp64(rows.concat().into_iter().map(f64::from).collect());
        let from_csv = csv(&plan, &csv_body).unwrap();
        let from_json = read(&plan, &json).unwrap();
        prop_assert_eq!(from_csv[0].values(), &wanted);
        prop_assert_eq!(from_json[0].values(), &wanted);
    }

    /// No text makes a parser panic, and what it reads is a whole tensor an input.
    #[test]
    fn no_bytes_make_it_panic(body in "[\\[\\]{}\",:0-9abX.\\n\\r null]{0,80}") {
        for plan in [matrix(), columns(ExtraColumns::Dropped)] {
            let outcomes = [
                read(&plan, &body),
                read(&plan, &format!(r#"{{"instances":{body}}}"#)),
                csv(&plan, &body),
                csv(&plan, &format!("a,b\n{body}")),
            ];
            for tensors in outcomes.into_iter().flatten() {
                prop_assert_eq!(tensors.len(), plan.parts.len());
            }
        }
    }
}
