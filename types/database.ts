
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  
  "public": {
          Tables: {
            "credit_transactions": {
                  Row: {
                    "amount": number,"balance_after": number,"created_at": string,"description": string | null,"idempotency_key": string | null,"metadata": NonNullable<Json>,"seq": number,"type": Database["public"]['Enums']["credit_transaction_type"],"user_id": string,"id": string | null
                  }
                  ComputedFields: "id"
                  Insert: {
                    "amount": number,"balance_after"?: number,"created_at"?: string,"description"?: string | null,"idempotency_key"?: string | null,"metadata"?: NonNullable<Json>,"seq"?: number,"type": Database["public"]['Enums']["credit_transaction_type"],"user_id": string
                  }
                  Update: {
                    "amount"?: number,"balance_after"?: number,"created_at"?: string,"description"?: string | null,"idempotency_key"?: string | null,"metadata"?: NonNullable<Json>,"seq"?: number,"type"?: Database["public"]['Enums']["credit_transaction_type"],"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"user_credits": {
                  Row: {
                    "alert_below": number | null,"created_at": string,"credits_held": number,"credits_remaining": number,"last_bonus_date": string | null,"last_purchase_at": string | null,"last_seq": number,"monthly_bonus_credits": number,"next_due_at": string | null,"total_credits": number,"updated_at": string,"used_credits": number,"user_id": string,"credits_available": number | null
                  }
                  ComputedFields: "credits_available"
                  Insert: {
                    "alert_below"?: number | null,"created_at"?: string,"credits_held"?: number,"credits_remaining"?: number,"last_bonus_date"?: string | null,"last_purchase_at"?: string | null,"last_seq"?: number,"monthly_bonus_credits"?: number,"next_due_at"?: string | null,"total_credits"?: number,"updated_at"?: string,"used_credits"?: number,"user_id": string
                  }
                  Update: {
                    "alert_below"?: number | null,"created_at"?: string,"credits_held"?: number,"credits_remaining"?: number,"last_bonus_date"?: string | null,"last_purchase_at"?: string | null,"last_seq"?: number,"monthly_bonus_credits"?: number,"next_due_at"?: string | null,"total_credits"?: number,"updated_at"?: string,"used_credits"?: number,"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                }
          }
          Views: {
            [_ in never]: never
          }
          Functions: {
            "add_credits_for":
{ Args: { "amount": number,"description"?: string,"expires_at"?: string,"idempotency_key"?: string,"metadata"?: Json,"type"?: Database["public"]['Enums']["credit_transaction_type"],"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"consume_credit":
{ Args: { "amount"?: number,"description"?: string,"idempotency_key"?: string,"metadata"?: Json }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"consume_credit_for":
{ Args: { "amount"?: number,"description"?: string,"idempotency_key"?: string,"metadata"?: Json,"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"credits_available":
{ Args: { "account": Omit<Database["public"]['Tables']["user_credits"]['Row'], Database["public"]['Tables']["user_credits"]['ComputedFields']> }; Returns: number
                           },
"delete_user_account":
{ Args: Record<PropertyKey, never>; Returns: Database["public"]['CompositeTypes']["account_deletion"]
                          SetofOptions: {
        from: "*"
        to: "account_deletion"
        isOneToOne: true
        isSetofReturn: false
      } },
"delete_user_account_for":
{ Args: { "user_id": string }; Returns: Database["public"]['CompositeTypes']["account_deletion"]
                          SetofOptions: {
        from: "*"
        to: "account_deletion"
        isOneToOne: true
        isSetofReturn: false
      } },
"explain_balance_for":
{ Args: { "user_id": string }; Returns: Json
                           },
"get_balance_at_for":
{ Args: { "at": string,"user_id": string }; Returns: number
                           },
"get_operation":
{ Args: { "idempotency_key": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: true
      } },
"get_operation_for":
{ Args: { "idempotency_key": string,"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: true
      } },
"get_transaction_history":
{ Args: { "before_seq"?: number,"page_size"?: number,"type"?: Database["public"]['Enums']["credit_transaction_type"] }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }[]
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: false
        isSetofReturn: true
      } },
"get_transaction_history_for":
{ Args: { "before_seq"?: number,"page_size"?: number,"type"?: Database["public"]['Enums']["credit_transaction_type"],"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }[]
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: false
        isSetofReturn: true
      } },
"get_usage":
{ Args: { "since": string,"until"?: string }; Returns: Database["public"]['CompositeTypes']["credit_usage"]
                          SetofOptions: {
        from: "*"
        to: "credit_usage"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_usage_for":
{ Args: { "since": string,"until"?: string,"user_id": string }; Returns: Database["public"]['CompositeTypes']["credit_usage"]
                          SetofOptions: {
        from: "*"
        to: "credit_usage"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_user_credits":
{ Args: Record<PropertyKey, never>; Returns: {
              "alert_below": number | null,
"created_at": string,
"credits_held": number,
"credits_remaining": number,
"last_bonus_date": string | null,
"last_purchase_at": string | null,
"last_seq": number,
"monthly_bonus_credits": number,
"next_due_at": string | null,
"total_credits": number,
"updated_at": string,
"used_credits": number,
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "user_credits"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_user_credits_for":
{ Args: { "user_id": string }; Returns: {
              "alert_below": number | null,
"created_at": string,
"credits_held": number,
"credits_remaining": number,
"last_bonus_date": string | null,
"last_purchase_at": string | null,
"last_seq": number,
"monthly_bonus_credits": number,
"next_due_at": string | null,
"total_credits": number,
"updated_at": string,
"used_credits": number,
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "user_credits"
        isOneToOne: true
        isSetofReturn: false
      } },
"id":
{ Args: { "entry": Omit<Database["public"]['Tables']["credit_transactions"]['Row'], Database["public"]['Tables']["credit_transactions"]['ComputedFields']> }; Returns: string
                           },
"verify_ledger":
{ Args: { "user_id"?: string }; Returns: Database["public"]['CompositeTypes']["ledger_violation"][]
                          SetofOptions: {
        from: "*"
        to: "ledger_violation"
        isOneToOne: false
        isSetofReturn: true
      } }
          }
          Enums: {
            "credit_transaction_type": "purchase"|"signup_bonus"|"monthly_bonus"|"bonus"|"consumption"|"refund"|"clawback"|"clawback_reversal"|"expiration"|"admin_adjustment"
          }
          CompositeTypes: {
            "account_deletion": {
                        "user_id": string | null,"deleted_at": string | null,"credits_written_off": number | null,"removed": Json | null
                      },"credit_usage": {
                        "consumed": number | null,"refunded": number | null,"operations": number | null
                      },"ledger_violation": {
                        "user_id": string | null,"seq": number | null,"rule": string | null,"expected": number | null,"found": number | null
                      }
          }
        }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
  ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R
    }
    ? R
    : never
  : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I
    }
    ? I
    : never
  : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U
    }
    ? U
    : never
  : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
  ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
  ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never

export const Constants = {
  "public": {
          Enums: {
            "credit_transaction_type": ["purchase", "signup_bonus", "monthly_bonus", "bonus", "consumption", "refund", "clawback", "clawback_reversal", "expiration", "admin_adjustment"]
          }
        }
} as const
