# AWS: bucket, database, image repository, and a role for each part of Nocturne.
# The pods run on EKS, because infra/kubernetes already says all about them: with ECS it would be
# said twice. The cluster itself and its network belong to the team and are given.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.80" }
  }
}

provider "aws" {
  region = var.region
}

module "policies" {
  source            = "./policies"
  bucket            = var.bucket
  oidc_provider_arn = var.oidc_provider_arn
  oidc_issuer_url   = var.oidc_issuer_url
}

resource "aws_s3_bucket" "store" {
  bucket = var.bucket
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "store" {
  bucket = aws_s3_bucket.store.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "store" {
  bucket     = aws_s3_bucket.store.id
  policy     = module.policies.bucket_policy
  depends_on = [aws_s3_bucket_public_access_block.store]
}

resource "aws_ecr_repository" "nocturne" {
  name                 = "nocturne"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_db_subnet_group" "database" {
  name       = "nocturne"
  subnet_ids = var.private_subnet_ids
}

resource "aws_security_group" "database" {
  name   = "nocturne-database"
  vpc_id = var.vpc_id
  ingress {
    description     = "PostgreSQL, from the cluster's nodes"
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [var.node_security_group_id]
  }
}

resource "aws_db_parameter_group" "database" {
  name   = "nocturne"
  family = "postgres15"
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

# infra/postgres/databases.sh makes the two databases on it, once, from inside the network.
resource "aws_db_instance" "database" {
  identifier                  = "nocturne"
  engine                      = "postgres"
  engine_version              = "15"
  instance_class              = var.database_class
  allocated_storage           = 50
  storage_encrypted           = true
  username                    = "postgres"
  manage_master_user_password = true
  db_subnet_group_name        = aws_db_subnet_group.database.name
  parameter_group_name        = aws_db_parameter_group.database.name
  vpc_security_group_ids      = [aws_security_group.database.id]
  publicly_accessible         = false
  multi_az                    = true
  backup_retention_period     = 14
  deletion_protection         = true
  final_snapshot_identifier   = "nocturne-final"
}

resource "aws_iam_role" "role" {
  for_each           = module.policies.trust
  name               = "nocturne-${each.key}"
  assume_role_policy = each.value
}

resource "aws_iam_role_policy" "store" {
  for_each = module.policies.documents
  name     = "store"
  role     = aws_iam_role.role[each.key].id
  policy   = each.value
}
