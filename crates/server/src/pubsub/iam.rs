//! `google.iam.v1.IAMPolicy` as far as Terraform and consoles ask for it.
//!
//! Owns: keeping a policy and giving it back. Nothing in naru follows it: who may do what is decided by tokens.

use naru_store::kv;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{PubSub, caller::Caller, fault};
use crate::generated::google::iam::v1::{self as iam, iam_policy_server::IamPolicy};

/// How the keys of stored policies begin.
const KEY: &str = "pubsub.iam ";
/// Bytes of a resource's name.
const RESOURCE_BYTES_MAX: usize = 1024;

fn key(resource: &str) -> Result<String, Status> {
    if resource.is_empty() || resource.len() > RESOURCE_BYTES_MAX {
        return Err(Status::invalid_argument("The resource in the request must be a name."));
    }
    Ok(format!("{KEY}{resource}"))
}

#[tonic::async_trait]
impl IamPolicy for PubSub {
    async fn set_iam_policy(
        &self,
        request: Request<iam::SetIamPolicyRequest>,
    ) -> Result<Response<iam::Policy>, Status> {
        let caller = Caller::of(request.extensions())?;
        caller.must_manage("set policies")?;
        let request = request.into_inner();
        let key = key(&request.resource)?;
        let mut policy = request.policy.unwrap_or_default();
        policy.etag = b"naru".to_vec();
        let text = hex::encode(policy.encode_to_vec());
        let written = self.topics().store().write(move |db| kv::set(db, &key, &text)).await;
        written.map_err(|error| fault::store(&error))?;
        Ok(Response::new(policy))
    }

    async fn get_iam_policy(
        &self,
        request: Request<iam::GetIamPolicyRequest>,
    ) -> Result<Response<iam::Policy>, Status> {
        let caller = Caller::of(request.extensions())?;
        caller.must_manage("read policies")?;
        let key = key(&request.get_ref().resource)?;
        let stored = self.topics().store().read(move |db| kv::get(db, &key)).await;
        let stored = stored.map_err(|error| fault::store(&error))?;
        let policy = stored.and_then(|text| iam::Policy::decode(hex::decode(text).ok()?.as_slice()).ok());
        Ok(Response::new(policy.unwrap_or_default()))
    }

    async fn test_iam_permissions(
        &self,
        request: Request<iam::TestIamPermissionsRequest>,
    ) -> Result<Response<iam::TestIamPermissionsResponse>, Status> {
        let permissions = request.into_inner().permissions;
        Ok(Response::new(iam::TestIamPermissionsResponse { permissions }))
    }
}
