variable "region" {
  type = string
}

variable "bucket" {
  description = "Store and artifacts; NOCTURNE_STORE is s3://BUCKET/store."
  type        = string
}

variable "vpc_id" {
  type = string
}

variable "private_subnet_ids" {
  type = list(string)
}

variable "node_security_group_id" {
  description = "Of the cluster's nodes, who may reach the database."
  type        = string
}

variable "oidc_provider_arn" {
  description = "Of the EKS cluster, for roles of service accounts."
  type        = string
}

variable "oidc_issuer_url" {
  type = string
}

variable "database_class" {
  type    = string
  default = "db.t4g.medium"
}
