//! The messages of `google.type` that `google.iam.v1` needs, generated as `google.pubsub.v1` is. Never edited.
// @generated

#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Expr {
    #[prost(string, tag = "1")]
    pub expression: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub title: ::prost::alloc::string::String,
    #[prost(string, tag = "3")]
    pub description: ::prost::alloc::string::String,
    #[prost(string, tag = "4")]
    pub location: ::prost::alloc::string::String,
}
